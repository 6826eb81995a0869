"""What people do with things in their hands or at their feet."""

from __future__ import annotations

from dataclasses import replace

from relforge.demo.world.hands import in_hand, put_hat_on
from relforge.demo.world.people import HIP, head_of
from relforge.demo.world.scene_builder import SceneBuilder

HOLDABLE = ("bottle", "cup", "book", "apple", "ball", "umbrella", "bag", "phone", "cake", "kite")


def add_holding(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    thing = in_hand(builder, person, builder.pick(*HOLDABLE), (0.27, HIP + 0.14))
    builder.add_fact(person, "holding", thing)


def add_carrying(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    builder.thing(person).pose.legs = "walk"
    bag = in_hand(builder, person, "bag", (0.1, HIP - 0.04))
    builder.add_fact(person, "carrying", bag)


def add_wearing(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    put_hat_on(builder, person)


def add_eating(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    mouth = head_of(builder.thing(person))
    food = in_hand(builder, person, builder.pick("apple", "cake"), (mouth[0] + 0.15, mouth[1] - 0.07))
    builder.add_fact(person, "eating", food)


def add_drinking(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    mouth = head_of(builder.thing(person))
    builder.thing(person).pose.gaze = 25.0
    cup = in_hand(builder, person, builder.pick("cup", "bottle"), (mouth[0] + 0.17, mouth[1] - 0.02))
    builder.thing(cup).turn = 60.0
    builder.add_fact(person, "drinking from", cup)


def add_reading(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    man.pose = replace(man.pose, gaze=-35.0, hands=(None, (0.24, HIP + 0.2)))
    book = in_hand(builder, person, "book", (0.26, HIP + 0.2))
    builder.thing(book).pose.open = True
    builder.thing(book).height *= 1.1
    builder.add_fact(person, "reading", book)


def add_talking(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    head = head_of(builder.thing(person))
    phone = in_hand(builder, person, "phone", (head[0] - 0.02, head[1] - 0.03))
    builder.add_fact(person, "talking on", phone)


def add_kicking(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    man.pose = replace(man.pose, legs="kick", hands=((0.2, 0.6), (-0.3, 0.62)))
    ball = builder.attach("ball", builder.to_pixels(person, (0.5, 0.06)), person)
    builder.add_fact(person, "kicking", ball)


def add_throwing(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    man.pose = replace(man.pose, legs="walk", gaze=20.0, hands=((0.24, 1.02), None))
    ball = builder.attach("ball", builder.to_pixels(person, (0.46, 1.1)), person)
    builder.add_fact(person, "throwing", ball)


def add_flying(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    man.pose = replace(man.pose, gaze=40.0, hands=((0.26, 0.9), None))
    hand = builder.to_pixels(person, (0.26, 0.9))
    far = (hand[0] + man.facing * man.height * builder.rng.uniform(0.35, 0.8), hand[1] - man.height * 0.55)
    kite = builder.attach("kite", far, person, nearer=False)
    man.pose.ties = [(hand, far)]
    builder.add_fact(person, "flying", kite)


def add_pushing(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    bike = builder.place("bicycle", x + man.facing * man.height * 0.2, depth + 0.5, facing=man.facing)
    bars = builder.to_frame(person, builder.to_pixels(bike, (0.35, 1.0)))
    man.pose = replace(man.pose, legs="walk", hands=(bars, bars))
    builder.add_fact(person, "pushing", bike)


def add_sheltering(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    umbrella = in_hand(builder, person, "umbrella", (0.08, 0.86))
    builder.thing(umbrella).depth = builder.thing(person).depth - 0.01
    builder.add_fact(person, "holding", umbrella)
    builder.add_fact(person, "under", umbrella)
