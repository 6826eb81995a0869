"""Who sits, lies, stands, leans or hides where, and who is in whose arms."""

from __future__ import annotations

from relforge.demo.world.catalogue import ANIMALS
from relforge.demo.world.hands import pick
from relforge.demo.world.people import HIP
from relforge.demo.world.stage import Stage


def sitting(stage: Stage, x: float, depth: float) -> None:
    seat = stage.put(pick(stage, "chair", "bench", "bed", "chair"), x, depth)
    below = stage.thing(seat)
    person = stage.put("person", x, depth, facing=below.facing)
    man = stage.thing(person)
    top = {"chair": (0.0, 0.5), "bench": (stage.rng.uniform(-0.6, 0.6), 0.55), "bed": (0.6, 0.62)}[below.kind]
    sx, sy = stage.on(seat, top)
    man.pose.update(legs="sit", hands=((0.2, HIP + 0.03), None))
    man.at, man.depth = (sx, sy + man.height * (HIP - 0.05)), depth + 0.01
    stage.fact(person, "sitting on", seat)


def lying(stage: Stage, x: float, depth: float) -> None:
    couch = stage.put(pick(stage, "bed", "bench"), x, depth)
    below = stage.thing(couch)
    person = stage.put("person", x, depth, facing=below.facing)
    man = stage.thing(person)
    below.height *= 1.15
    sx, sy = stage.on(couch, (1.0 if below.kind == "bed" else 0.95, 0.72))
    man.turn, man.at, man.depth = 90.0, (sx, sy), depth + 0.01
    man.height = min(man.height, below.height * 2.1)
    man.pose["asleep"] = stage.rng.random() < 0.5
    stage.fact(person, "lying on", couch)


def standing(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(pick(stage, "table", "bench"), x, depth)
    person = stage.put("person", x, depth)
    height = 1.0 if stage.thing(support).kind == "table" else 0.52
    man = stage.thing(person)
    man.at, man.depth = stage.on(support, (0.0, height)), depth + 0.01
    stage.fact(person, "standing on", support)


def hugging(stage: Stage, x: float, depth: float) -> None:
    first = stage.put("person", x, depth, facing=1)
    man = stage.thing(first)
    second = stage.put("person", x + man.height * 0.2, depth + 0.5, facing=-1)
    man.pose["hands"] = ((0.27, 0.72), (0.25, 0.66))
    stage.thing(second).pose["hands"] = ((0.25, 0.68), (0.25, 0.74))
    stage.fact(first, "hugging", second)
    stage.fact(second, "hugging", first)


def leaning(stage: Stage, x: float, depth: float) -> None:
    tree = stage.put("tree", x, depth - 1)
    facing = 1 if stage.rng.random() < 0.5 else -1
    width = stage.thing(tree).height * 0.06
    person = stage.put(
        "person", x + facing * (width + stage.person_height(depth) * 0.28), depth, facing=facing
    )
    stage.thing(person).turn = 17.0
    stage.fact(person, "leaning against", tree)


def climbing(stage: Stage, x: float, depth: float) -> None:
    tree = stage.put("tree", x, depth)
    person = stage.put("person", x, depth, facing=1)
    man = stage.thing(person)
    man.at, man.depth = (x - man.height * 0.14, depth - man.height * 0.32), depth + 0.01
    man.pose.update(legs="climb", gaze=50.0, hands=((0.17, 1.02), (0.15, 0.9)))
    stage.fact(person, "climbing", tree)


def sleeping(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(pick(stage, "bed", "bench", "chair", "table"), x, depth)
    level = {"bed": 0.62, "bench": 0.55, "chair": 0.5, "table": 0.98}[stage.thing(support).kind]
    beast = stage.attach(pick(stage, "cat", "dog"), stage.on(support, (0, level)), support)
    stage.thing(beast).pose["legs"] = "curl"
    stage.fact(beast, "sleeping on", support)


def perching(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(pick(stage, "bench", "chair", "table", "car", "boat"), x, depth)
    level = {"bench": 1.0, "chair": 0.5, "table": 1.0, "car": 0.98, "boat": 0.64}[stage.thing(support).kind]
    bird = stage.attach("bird", stage.on(support, (0.0, level)), support)
    stage.fact(bird, "perched on", support)


def resting_on(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(pick(stage, "table", "bench", "chair", "bed"), x, depth)
    level = {"bed": 0.63, "bench": 0.55, "chair": 0.5, "table": 0.97}[stage.thing(support).kind]
    spread = 0.1 if stage.thing(support).kind == "chair" else 0.6
    for shift in (-spread, spread)[: int(stage.rng.integers(1, 3))]:
        kind = pick(stage, "cup", "bottle", "book", "apple", "cake", "hat", "bag", "ball")
        stage.fact(stage.attach(kind, stage.on(support, (shift, level)), support), "on", support)


def hiding_under(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(pick(stage, "table", "table", "bench"), x, depth)
    stage.thing(support).height *= 1.25
    kind = pick(stage, "cat", "dog", "ball", "bag", "cat")
    thing = stage.attach(kind, (x, depth), support, nearer=False)
    stage.thing(thing).height = min(stage.thing(thing).height, stage.thing(support).height * 0.42)
    if kind in {"cat", "dog"}:
        stage.thing(thing).pose["legs"] = pick(stage, "curl", "stand")
    stage.fact(thing, "under", support)


def sailing(stage: Stage, x: float, depth: float) -> None:
    boat = stage.put("boat", x, depth)
    person = stage.put("person", x, depth - 0.01)
    man = stage.thing(person)
    man.at, man.depth = (x, depth + man.height * 0.2), depth - 0.01
    man.pose["legs"] = "sit"
    stage.fact(person, "in", boat)


def alone(stage: Stage, x: float, depth: float) -> None:
    """A thing that does nothing: a distractor, or a neighbour for the spatial predicates."""
    kind = pick(
        stage, "person", *ANIMALS, "bicycle", "car", "boat", "chair", "table", "bench", "tree", "lamp", "ball"
    )
    stage.put(kind, x, depth)
