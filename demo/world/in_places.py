"""Who sits, lies, stands, leans or hides where, and who is in whose arms."""

from __future__ import annotations

from dataclasses import replace

from relforge.demo.world.catalogue import ANIMALS
from relforge.demo.world.people import HIP
from relforge.demo.world.scene_builder import SceneBuilder


def add_sitting(builder: SceneBuilder, x: float, depth: float) -> None:
    seat = builder.place(builder.pick("chair", "bench", "bed", "chair"), x, depth)
    below = builder.thing(seat)
    person = builder.place("person", x, depth, facing=below.facing)
    man = builder.thing(person)
    top = {"chair": (0.0, 0.5), "bench": (builder.rng.uniform(-0.6, 0.6), 0.55), "bed": (0.6, 0.62)}[
        below.kind
    ]
    sx, sy = builder.to_pixels(seat, top)
    man.pose = replace(man.pose, legs="sit", hands=((0.2, HIP + 0.03), None))
    man.at, man.depth = (sx, sy + man.height * (HIP - 0.05)), depth + 0.01
    builder.add_fact(person, "sitting on", seat)


def add_lying(builder: SceneBuilder, x: float, depth: float) -> None:
    couch = builder.place(builder.pick("bed", "bench"), x, depth)
    below = builder.thing(couch)
    person = builder.place("person", x, depth, facing=below.facing)
    man = builder.thing(person)
    below.height *= 1.15
    sx, sy = builder.to_pixels(couch, (1.0 if below.kind == "bed" else 0.95, 0.72))
    man.turn, man.at, man.depth = 90.0, (sx, sy), depth + 0.01
    man.height = min(man.height, below.height * 2.1)
    man.pose.asleep = builder.rng.random() < 0.5
    builder.add_fact(person, "lying on", couch)


def add_standing(builder: SceneBuilder, x: float, depth: float) -> None:
    support = builder.place(builder.pick("table", "bench"), x, depth)
    person = builder.place("person", x, depth)
    height = 1.0 if builder.thing(support).kind == "table" else 0.52
    man = builder.thing(person)
    man.at, man.depth = builder.to_pixels(support, (0.0, height)), depth + 0.01
    builder.add_fact(person, "standing on", support)


def add_hugging(builder: SceneBuilder, x: float, depth: float) -> None:
    first = builder.place("person", x, depth, facing=1)
    man = builder.thing(first)
    second = builder.place("person", x + man.height * 0.2, depth + 0.5, facing=-1)
    man.pose.hands = ((0.27, 0.72), (0.25, 0.66))
    builder.thing(second).pose.hands = ((0.25, 0.68), (0.25, 0.74))
    builder.add_fact(first, "hugging", second)
    builder.add_fact(second, "hugging", first)


def add_leaning(builder: SceneBuilder, x: float, depth: float) -> None:
    tree = builder.place("tree", x, depth - 1)
    facing = 1 if builder.rng.random() < 0.5 else -1
    width = builder.thing(tree).height * 0.06
    person = builder.place(
        "person", x + facing * (width + builder.person_height(depth) * 0.28), depth, facing=facing
    )
    builder.thing(person).turn = 17.0
    builder.add_fact(person, "leaning against", tree)


def add_climbing(builder: SceneBuilder, x: float, depth: float) -> None:
    tree = builder.place("tree", x, depth)
    person = builder.place("person", x, depth, facing=1)
    man = builder.thing(person)
    man.at, man.depth = (x - man.height * 0.14, depth - man.height * 0.32), depth + 0.01
    man.pose = replace(man.pose, legs="climb", gaze=50.0, hands=((0.17, 1.02), (0.15, 0.9)))
    builder.add_fact(person, "climbing", tree)


def add_sleeping(builder: SceneBuilder, x: float, depth: float) -> None:
    support = builder.place(builder.pick("bed", "bench", "chair", "table"), x, depth)
    level = {"bed": 0.62, "bench": 0.55, "chair": 0.5, "table": 0.98}[builder.thing(support).kind]
    beast = builder.attach(builder.pick("cat", "dog"), builder.to_pixels(support, (0, level)), support)
    builder.thing(beast).pose.legs = "curl"
    builder.add_fact(beast, "sleeping on", support)


def add_perching(builder: SceneBuilder, x: float, depth: float) -> None:
    support = builder.place(builder.pick("bench", "chair", "table", "car", "boat"), x, depth)
    level = {"bench": 1.0, "chair": 0.5, "table": 1.0, "car": 0.98, "boat": 0.64}[builder.thing(support).kind]
    bird = builder.attach("bird", builder.to_pixels(support, (0.0, level)), support)
    builder.add_fact(bird, "perched on", support)


def add_resting_on(builder: SceneBuilder, x: float, depth: float) -> None:
    support = builder.place(builder.pick("table", "bench", "chair", "bed"), x, depth)
    level = {"bed": 0.63, "bench": 0.55, "chair": 0.5, "table": 0.97}[builder.thing(support).kind]
    spread = 0.1 if builder.thing(support).kind == "chair" else 0.6
    for shift in (-spread, spread)[: int(builder.rng.integers(1, 3))]:
        kind = builder.pick("cup", "bottle", "book", "apple", "cake", "hat", "bag", "ball")
        builder.add_fact(
            builder.attach(kind, builder.to_pixels(support, (shift, level)), support), "on", support
        )


def add_hiding_under(builder: SceneBuilder, x: float, depth: float) -> None:
    support = builder.place(builder.pick("table", "table", "bench"), x, depth)
    builder.thing(support).height *= 1.25
    kind = builder.pick("cat", "dog", "ball", "bag", "cat")
    thing = builder.attach(kind, (x, depth), support, nearer=False)
    builder.thing(thing).height = min(builder.thing(thing).height, builder.thing(support).height * 0.42)
    if kind in {"cat", "dog"}:
        builder.thing(thing).pose.legs = builder.pick("curl", "stand")
    builder.add_fact(thing, "under", support)


def add_sailing(builder: SceneBuilder, x: float, depth: float) -> None:
    boat = builder.place("boat", x, depth)
    person = builder.place("person", x, depth - 0.01)
    man = builder.thing(person)
    man.at, man.depth = (x, depth + man.height * 0.2), depth - 0.01
    man.pose.legs = "sit"
    builder.add_fact(person, "in", boat)


def add_bystander(builder: SceneBuilder, x: float, depth: float) -> None:
    """A thing that does nothing: a distractor, or a neighbour for the spatial predicates."""
    kind = builder.pick(
        "person", *ANIMALS, "bicycle", "car", "boat", "chair", "table", "bench", "tree", "lamp", "ball"
    )
    builder.place(kind, x, depth)
