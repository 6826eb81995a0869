"""What people do with things in their hands or at their feet."""

from __future__ import annotations

from relforge.demo.world.hands import dress, in_hand, pick
from relforge.demo.world.people import HIP, head_of
from relforge.demo.world.stage import Stage

HOLDABLE = ("bottle", "cup", "book", "apple", "ball", "umbrella", "bag", "phone", "cake", "kite")


def holding(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    thing = in_hand(stage, person, pick(stage, *HOLDABLE), (0.27, HIP + 0.14))
    stage.fact(person, "holding", thing)


def carrying(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    stage.thing(person).pose["legs"] = "walk"
    bag = in_hand(stage, person, "bag", (0.1, HIP - 0.04))
    stage.fact(person, "carrying", bag)


def wearing(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    dress(stage, person)


def eating(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    mouth = head_of(stage.thing(person))
    food = in_hand(stage, person, pick(stage, "apple", "cake"), (mouth[0] + 0.15, mouth[1] - 0.07))
    stage.fact(person, "eating", food)


def drinking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    mouth = head_of(stage.thing(person))
    stage.thing(person).pose["gaze"] = 25.0
    cup = in_hand(stage, person, pick(stage, "cup", "bottle"), (mouth[0] + 0.17, mouth[1] - 0.02))
    stage.thing(cup).turn = 60.0
    stage.fact(person, "drinking from", cup)


def reading(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    stage.thing(person).pose.update(gaze=-35.0, hands=(None, (0.24, HIP + 0.2)))
    book = in_hand(stage, person, "book", (0.26, HIP + 0.2))
    stage.thing(book).pose["open"] = True
    stage.thing(book).height *= 1.1
    stage.fact(person, "reading", book)


def talking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    head = head_of(stage.thing(person))
    phone = in_hand(stage, person, "phone", (head[0] - 0.02, head[1] - 0.03))
    stage.fact(person, "talking on", phone)


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


def pushing(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    bike = stage.put("bicycle", x + man.facing * man.height * 0.2, depth + 0.5, facing=man.facing)
    bars = stage.into(person, stage.on(bike, (0.35, 1.0)))
    man.pose.update(legs="walk", hands=(bars, bars))
    stage.fact(person, "pushing", bike)


def sheltering(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    umbrella = in_hand(stage, person, "umbrella", (0.08, 0.86))
    stage.thing(umbrella).depth = stage.thing(person).depth - 0.01
    stage.fact(person, "holding", umbrella)
    stage.fact(person, "under", umbrella)
