"""What people do with animals and what they ride, and what animals do."""

from __future__ import annotations

import math
from dataclasses import replace

from relforge.demo.world.animals import back_of, muzzle_of
from relforge.demo.world.catalogue import ANIMALS
from relforge.demo.world.hands import in_hand
from relforge.demo.world.people import HIP, head_of
from relforge.demo.world.scene_builder import SceneBuilder

_BEASTS = ("horse", "cow", "sheep", "elephant", "dog")


def add_riding(builder: SceneBuilder, x: float, depth: float) -> None:
    mount = builder.place(
        builder.pick("horse", "bicycle", "skateboard", "elephant", "horse", "bicycle"), x, depth
    )
    below = builder.thing(mount)
    rider = builder.place("person", x, depth, facing=below.facing)
    man = builder.thing(rider)
    man.depth = depth - 0.01 if below.kind == "bicycle" else depth + 0.01
    if below.kind == "skateboard":
        man.at = (x, depth - below.height * 0.75)
        man.pose = replace(man.pose, legs="walk", hands=((0.3, 0.78), (-0.32, 0.8)))
    else:
        seat = {"bicycle": (-0.2, 1.0)}.get(
            below.kind, (-0.05, back_of(below) if below.kind != "bicycle" else 0)
        )
        sx, sy = builder.to_pixels(mount, seat)
        man.pose = replace(man.pose, legs="ride", hands=((0.3, HIP + 0.14), (0.28, HIP + 0.12)))
        man.at = (sx, sy + man.height * (HIP - 0.03))
    builder.add_fact(rider, "riding", mount)


def add_walking(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    man.pose = replace(man.pose, legs="walk", hands=((0.2, 0.5), None))
    dog = builder.place("dog", x + man.facing * man.height * 0.75, depth + 1, facing=man.facing)
    builder.thing(dog).pose.legs = "run"
    man.pose.ties = [(builder.to_pixels(person, (0.2, 0.5)), builder.to_pixels(dog, (0.55, 0.85)))]
    builder.add_fact(person, "walking", dog)


def add_petting(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    beast = builder.place(
        builder.pick(*_BEASTS), x + man.facing * man.height * 0.62, depth - 0.5, facing=man.facing
    )
    touch = builder.to_pixels(beast, (-0.25, back_of(builder.thing(beast))))
    man.pose.hands = (builder.to_frame(person, touch), None)
    if builder.thing(beast).height < man.height * 0.45:
        man.pose = replace(man.pose, hip=0.3, legs="climb")  # crouches
    man.pose.gaze = -25.0
    hand = builder.to_frame(person, touch)
    far = math.hypot(hand[0] - 0.05, hand[1] - (man.pose.hip + 0.28))
    if far > 0.36:  # step closer until the hand is on the back
        shift = (far - 0.34) * man.height * man.facing
        man.at = (man.at[0] + shift, man.at[1])
        man.pose.hands = (builder.to_frame(person, touch), None)
    builder.add_fact(person, "petting", beast)


def add_feeding(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    beast = builder.place(
        builder.pick("horse", "cow", "elephant", "sheep"),
        x + man.facing * man.height,
        depth,
        facing=-man.facing,
    )
    animal = builder.thing(beast)
    hand_y = min(0.75, max(0.35, builder.to_frame(person, builder.to_pixels(beast, muzzle_of(animal)))[1]))
    apple = in_hand(builder, person, "apple", (0.36, hand_y))
    reach = builder.to_pixels(person, (0.46, hand_y))
    muzzle = builder.to_pixels(beast, muzzle_of(animal))
    animal.at = (animal.at[0] + reach[0] - muzzle[0], animal.at[1])
    builder.add_fact(person, "feeding", beast)
    builder.add_fact(person, "holding", apple)


def add_chasing(builder: SceneBuilder, x: float, depth: float) -> None:
    hunter = builder.place(builder.pick("dog", "cat"), x, depth)
    first = builder.thing(hunter)
    prey_kind = builder.pick(*(k for k in ("ball", "cat", "bird", "dog") if k != first.kind))
    prey = builder.place(
        prey_kind, x + first.facing * builder.person_height(depth) * 0.72, depth, facing=first.facing
    )
    first.pose = replace(first.pose, legs="run", gaze=0.0)
    if prey_kind in {"dog", "cat"}:
        builder.thing(prey).pose.legs = "run"
    elif prey_kind == "bird":
        builder.thing(prey).pose.legs = "fly"
        builder.thing(prey).at = (builder.thing(prey).at[0], depth - builder.person_height(depth) * 0.12)
    builder.add_fact(hunter, "chasing", prey)


def add_jumping(builder: SceneBuilder, x: float, depth: float) -> None:
    bench = builder.place("bench", x, depth)
    beast = builder.place(builder.pick("dog", "horse"), x, depth)
    top = builder.to_pixels(bench, (0, 1.0))[1]
    animal = builder.thing(beast)
    animal.at, animal.depth = (x, top + animal.height * 0.22), depth + 0.01
    animal.pose = replace(animal.pose, legs="jump", gaze=10.0)
    animal.turn = 10.0
    builder.add_fact(beast, "jumping over", bench)


def add_looking(builder: SceneBuilder, x: float, depth: float) -> None:
    person = builder.place("person", x, depth)
    man = builder.thing(person)
    kind = builder.pick(*ANIMALS, "kite", "car", "boat", "cake", "tree")
    far = x + man.facing * man.height * builder.rng.uniform(0.7, 1.2)
    if kind in {"kite", "bird"}:
        target = builder.attach(kind, (far, depth - man.height * builder.rng.uniform(0.9, 1.3)), person)
        builder.thing(target).pose.legs = "fly"
    else:
        target = builder.place(kind, far, depth)
    head = builder.to_pixels(person, head_of(man))
    thing = builder.thing(target)
    middle = (thing.at[0], thing.at[1] - thing.height * 0.5)
    rise = math.degrees(math.atan2(head[1] - middle[1], abs(middle[0] - head[0])))
    man.pose.gaze = max(-55.0, min(55.0, rise)) or -5.0
    builder.add_fact(person, "looking at", target)
