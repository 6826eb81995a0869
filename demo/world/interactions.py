"""What things do to one another. Each function puts the actors on the stage and records the facts.

The truth of every predicate shows in the picture and not in the boxes alone: who rides sits astride with
bent knees, who stands beside does not; what is eaten is at the mouth, what is held is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from relforge.demo.world.animals import back_of, muzzle_of
from relforge.demo.world.catalogue import ANIMALS
from relforge.demo.world.people import HIP, head_of
from relforge.demo.world.stage import Stage

Interaction = Callable[[Stage, float, float], None]
"""(stage, x in pixels, depth row) -> None."""

HOLDABLE = ("bottle", "cup", "book", "apple", "ball", "umbrella", "bag", "phone", "cake", "kite")
_BEASTS = ("horse", "cow", "sheep", "elephant", "dog")


def _pick(stage: Stage, *kinds: str) -> str:
    return kinds[int(stage.rng.integers(len(kinds)))]


def _in_hand(stage: Stage, person: int, kind: str, hand: tuple[float, float], second: bool = False) -> int:
    """The person's hand goes to a point of their frame, and holds a thing there."""
    hands = list(stage.thing(person).pose.get("hands", (None, None)))
    hands[1 if second else 0] = hand
    stage.thing(person).pose["hands"] = tuple(hands)
    x, y = stage.on(person, hand)
    index = stage.attach(kind, (x, y), person, nearer=not second)
    thing = stage.thing(index)
    if kind not in {"umbrella", "bag", "kite"}:  # those are held at their foot or handle
        thing.at = (x + thing.facing * thing.height * 0.15, y + thing.height * 0.4)
    elif kind == "bag":
        thing.at = (x, y + thing.height * 0.95)
    return index


def riding(stage: Stage, x: float, depth: float) -> None:
    mount = stage.put(
        _pick(stage, "horse", "bicycle", "skateboard", "elephant", "horse", "bicycle"), x, depth
    )
    below = stage.thing(mount)
    rider = stage.put("person", x, depth, facing=below.facing)
    man = stage.thing(rider)
    man.depth = depth - 0.01 if below.kind == "bicycle" else depth + 0.01
    if below.kind == "skateboard":
        man.at = (x, depth - below.height * 0.75)
        man.pose.update(legs="walk", hands=((0.3, 0.78), (-0.32, 0.8)))
    else:
        seat = {"bicycle": (-0.2, 1.0)}.get(
            below.kind, (-0.05, back_of(below) if below.kind != "bicycle" else 0)
        )
        sx, sy = stage.on(mount, seat)
        man.pose.update(legs="ride", hands=((0.3, HIP + 0.14), (0.28, HIP + 0.12)))
        man.at = (sx, sy + man.height * (HIP - 0.03))
    stage.fact(rider, "riding", mount)


def holding(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    thing = _in_hand(stage, person, _pick(stage, *HOLDABLE), (0.27, HIP + 0.14))
    stage.fact(person, "holding", thing)


def carrying(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    stage.thing(person).pose["legs"] = "walk"
    bag = _in_hand(stage, person, "bag", (0.1, HIP - 0.04))
    stage.fact(person, "carrying", bag)


def wearing(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    dress(stage, person)


def dress(stage: Stage, person: int) -> int:
    """A hat on a person's head."""
    head = head_of(stage.thing(person))
    hat = stage.attach("hat", stage.on(person, (head[0], head[1] + 0.055)), person)
    stage.thing(hat).turn = stage.thing(person).turn
    stage.thing(hat).height *= 1.1
    stage.fact(person, "wearing", hat)
    return hat


def eating(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    mouth = head_of(stage.thing(person))
    food = _in_hand(stage, person, _pick(stage, "apple", "cake"), (mouth[0] + 0.15, mouth[1] - 0.07))
    stage.fact(person, "eating", food)


def drinking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    mouth = head_of(stage.thing(person))
    stage.thing(person).pose["gaze"] = 25.0
    cup = _in_hand(stage, person, _pick(stage, "cup", "bottle"), (mouth[0] + 0.17, mouth[1] - 0.02))
    stage.thing(cup).turn = 60.0
    stage.fact(person, "drinking from", cup)


def reading(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    stage.thing(person).pose.update(gaze=-35.0, hands=(None, (0.24, HIP + 0.2)))
    book = _in_hand(stage, person, "book", (0.26, HIP + 0.2))
    stage.thing(book).pose["open"] = True
    stage.thing(book).height *= 1.1
    stage.fact(person, "reading", book)


def talking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    head = head_of(stage.thing(person))
    phone = _in_hand(stage, person, "phone", (head[0] - 0.02, head[1] - 0.03))
    stage.fact(person, "talking on", phone)


def sitting(stage: Stage, x: float, depth: float) -> None:
    seat = stage.put(_pick(stage, "chair", "bench", "bed", "chair"), x, depth)
    below = stage.thing(seat)
    person = stage.put("person", x, depth, facing=below.facing)
    man = stage.thing(person)
    top = {"chair": (0.0, 0.5), "bench": (stage.rng.uniform(-0.6, 0.6), 0.55), "bed": (0.6, 0.62)}[below.kind]
    sx, sy = stage.on(seat, top)
    man.pose.update(legs="sit", hands=((0.2, HIP + 0.03), None))
    man.at, man.depth = (sx, sy + man.height * (HIP - 0.05)), depth + 0.01
    stage.fact(person, "sitting on", seat)


def lying(stage: Stage, x: float, depth: float) -> None:
    couch = stage.put(_pick(stage, "bed", "bench"), x, depth)
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
    support = stage.put(_pick(stage, "table", "bench"), x, depth)
    person = stage.put("person", x, depth)
    height = 1.0 if stage.thing(support).kind == "table" else 0.52
    man = stage.thing(person)
    man.at, man.depth = stage.on(support, (0.0, height)), depth + 0.01
    stage.fact(person, "standing on", support)


def kicking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    stage.thing(person).pose.update(legs="kick", hands=((0.2, 0.6), (-0.3, 0.62)))
    ball = stage.attach("ball", stage.on(person, (0.5, 0.06)), person)
    stage.fact(person, "kicking", ball)


def throwing(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    stage.thing(person).pose.update(legs="walk", gaze=20.0, hands=((0.24, 1.02), None))
    ball = stage.attach("ball", stage.on(person, (0.46, 1.1)), person)
    stage.fact(person, "throwing", ball)


def flying(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    man.pose.update(gaze=40.0, hands=((0.26, 0.9), None))
    hand = stage.on(person, (0.26, 0.9))
    far = (hand[0] + man.facing * man.height * stage.rng.uniform(0.35, 0.8), hand[1] - man.height * 0.55)
    kite = stage.attach("kite", far, person, nearer=False)
    man.pose["ties"] = [(hand, far)]
    stage.fact(person, "flying", kite)


def walking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    man.pose.update(legs="walk", hands=((0.2, 0.5), None))
    dog = stage.put("dog", x + man.facing * man.height * 0.75, depth + 1, facing=man.facing)
    stage.thing(dog).pose["legs"] = "run"
    man.pose["ties"] = [(stage.on(person, (0.2, 0.5)), stage.on(dog, (0.55, 0.85)))]
    stage.fact(person, "walking", dog)


def pushing(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    bike = stage.put("bicycle", x + man.facing * man.height * 0.2, depth + 0.5, facing=man.facing)
    bars = stage.into(person, stage.on(bike, (0.35, 1.0)))
    man.pose.update(legs="walk", hands=(bars, bars))
    stage.fact(person, "pushing", bike)


def petting(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    beast = stage.put(
        _pick(stage, *_BEASTS), x + man.facing * man.height * 0.62, depth - 0.5, facing=man.facing
    )
    touch = stage.on(beast, (-0.25, back_of(stage.thing(beast))))
    man.pose["hands"] = (stage.into(person, touch), None)
    if stage.thing(beast).height < man.height * 0.45:
        man.pose.update(hip=0.3, legs="climb")  # crouches
    man.pose["gaze"] = -25.0
    hand = stage.into(person, touch)
    far = math.hypot(hand[0] - 0.05, hand[1] - (man.pose.get("hip", HIP) + 0.28))
    if far > 0.36:  # step closer until the hand is on the back
        shift = (far - 0.34) * man.height * man.facing
        man.at = (man.at[0] + shift, man.at[1])
        man.pose["hands"] = (stage.into(person, touch), None)
    stage.fact(person, "petting", beast)


def feeding(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    beast = stage.put(
        _pick(stage, "horse", "cow", "elephant", "sheep"),
        x + man.facing * man.height,
        depth,
        facing=-man.facing,
    )
    animal = stage.thing(beast)
    hand_y = min(0.75, max(0.35, stage.into(person, stage.on(beast, muzzle_of(animal)))[1]))
    apple = _in_hand(stage, person, "apple", (0.36, hand_y))
    reach = stage.on(person, (0.46, hand_y))
    muzzle = stage.on(beast, muzzle_of(animal))
    animal.at = (animal.at[0] + reach[0] - muzzle[0], animal.at[1])
    stage.fact(person, "feeding", beast)
    stage.fact(person, "holding", apple)


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


def chasing(stage: Stage, x: float, depth: float) -> None:
    hunter = stage.put(_pick(stage, "dog", "cat"), x, depth)
    first = stage.thing(hunter)
    prey_kind = _pick(stage, *(k for k in ("ball", "cat", "bird", "dog") if k != first.kind))
    prey = stage.put(
        prey_kind, x + first.facing * stage.person_height(depth) * 0.72, depth, facing=first.facing
    )
    first.pose.update(legs="run", gaze=0.0)
    if prey_kind in {"dog", "cat"}:
        stage.thing(prey).pose["legs"] = "run"
    elif prey_kind == "bird":
        stage.thing(prey).pose["legs"] = "fly"
        stage.thing(prey).at = (stage.thing(prey).at[0], depth - stage.person_height(depth) * 0.12)
    stage.fact(hunter, "chasing", prey)


def jumping(stage: Stage, x: float, depth: float) -> None:
    bench = stage.put("bench", x, depth)
    beast = stage.put(_pick(stage, "dog", "horse"), x, depth)
    top = stage.on(bench, (0, 1.0))[1]
    animal = stage.thing(beast)
    animal.at, animal.depth = (x, top + animal.height * 0.22), depth + 0.01
    animal.pose.update(legs="jump", gaze=10.0)
    animal.turn = 10.0
    stage.fact(beast, "jumping over", bench)


def sleeping(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(_pick(stage, "bed", "bench", "chair", "table"), x, depth)
    level = {"bed": 0.62, "bench": 0.55, "chair": 0.5, "table": 0.98}[stage.thing(support).kind]
    beast = stage.attach(_pick(stage, "cat", "dog"), stage.on(support, (0, level)), support)
    stage.thing(beast).pose["legs"] = "curl"
    stage.fact(beast, "sleeping on", support)


def perching(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(_pick(stage, "bench", "chair", "table", "car", "boat"), x, depth)
    level = {"bench": 1.0, "chair": 0.5, "table": 1.0, "car": 0.98, "boat": 0.64}[stage.thing(support).kind]
    bird = stage.attach("bird", stage.on(support, (0.0, level)), support)
    stage.fact(bird, "perched on", support)


def resting_on(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(_pick(stage, "table", "bench", "chair", "bed"), x, depth)
    level = {"bed": 0.63, "bench": 0.55, "chair": 0.5, "table": 0.97}[stage.thing(support).kind]
    spread = 0.1 if stage.thing(support).kind == "chair" else 0.6
    for shift in (-spread, spread)[: int(stage.rng.integers(1, 3))]:
        kind = _pick(stage, "cup", "bottle", "book", "apple", "cake", "hat", "bag", "ball")
        stage.fact(stage.attach(kind, stage.on(support, (shift, level)), support), "on", support)


def hiding_under(stage: Stage, x: float, depth: float) -> None:
    support = stage.put(_pick(stage, "table", "table", "bench"), x, depth)
    stage.thing(support).height *= 1.25
    kind = _pick(stage, "cat", "dog", "ball", "bag", "cat")
    thing = stage.attach(kind, (x, depth), support, nearer=False)
    stage.thing(thing).height = min(stage.thing(thing).height, stage.thing(support).height * 0.42)
    if kind in {"cat", "dog"}:
        stage.thing(thing).pose["legs"] = _pick(stage, "curl", "stand")
    stage.fact(thing, "under", support)


def sailing(stage: Stage, x: float, depth: float) -> None:
    boat = stage.put("boat", x, depth)
    person = stage.put("person", x, depth - 0.01)
    man = stage.thing(person)
    man.at, man.depth = (x, depth + man.height * 0.2), depth - 0.01
    man.pose["legs"] = "sit"
    stage.fact(person, "in", boat)


def sheltering(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    umbrella = _in_hand(stage, person, "umbrella", (0.08, 0.86))
    stage.thing(umbrella).depth = stage.thing(person).depth - 0.01
    stage.fact(person, "holding", umbrella)
    stage.fact(person, "under", umbrella)


def looking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    kind = _pick(stage, *ANIMALS, "kite", "car", "boat", "cake", "tree")
    far = x + man.facing * man.height * stage.rng.uniform(0.7, 1.2)
    if kind in {"kite", "bird"}:
        target = stage.attach(kind, (far, depth - man.height * stage.rng.uniform(0.9, 1.3)), person)
        stage.thing(target).pose["legs"] = "fly"
    else:
        target = stage.put(kind, far, depth)
    head = stage.on(person, head_of(man))
    thing = stage.thing(target)
    middle = (thing.at[0], thing.at[1] - thing.height * 0.5)
    rise = math.degrees(math.atan2(head[1] - middle[1], abs(middle[0] - head[0])))
    man.pose["gaze"] = max(-55.0, min(55.0, rise)) or -5.0
    stage.fact(person, "looking at", target)


def alone(stage: Stage, x: float, depth: float) -> None:
    """A thing that does nothing: a distractor, or a neighbour for the spatial predicates."""
    kind = _pick(
        stage, "person", *ANIMALS, "bicycle", "car", "boat", "chair", "table", "bench", "tree", "lamp", "ball"
    )
    stage.put(kind, x, depth)


INTERACTIONS: dict[str, Interaction] = {
    "riding": riding,
    "holding": holding,
    "carrying": carrying,
    "wearing": wearing,
    "eating": eating,
    "drinking from": drinking,
    "reading": reading,
    "talking on": talking,
    "sitting on": sitting,
    "lying on": lying,
    "standing on": standing,
    "kicking": kicking,
    "throwing": throwing,
    "flying": flying,
    "walking": walking,
    "pushing": pushing,
    "petting": petting,
    "feeding": feeding,
    "hugging": hugging,
    "leaning against": leaning,
    "climbing": climbing,
    "chasing": chasing,
    "jumping over": jumping,
    "sleeping on": sleeping,
    "perched on": perching,
    "on": resting_on,
    "under": hiding_under,
    "in": sailing,
    "sheltering": sheltering,
    "looking at": looking,
}
"""Name -> function; all but `sheltering` are named for the predicate they show."""

SPATIAL = ("next to", "behind", "in front of")
"""Predicates that `truth.complete` adds from where things stand."""
