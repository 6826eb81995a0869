"""What people do with animals and what they ride, and what animals do."""

from __future__ import annotations

import math

from relforge.demo.world.animals import back_of, muzzle_of
from relforge.demo.world.catalogue import ANIMALS
from relforge.demo.world.hands import in_hand, pick
from relforge.demo.world.people import HIP, head_of
from relforge.demo.world.stage import Stage

_BEASTS = ("horse", "cow", "sheep", "elephant", "dog")


def riding(stage: Stage, x: float, depth: float) -> None:
    mount = stage.put(pick(stage, "horse", "bicycle", "skateboard", "elephant", "horse", "bicycle"), x, depth)
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


def walking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    man.pose.update(legs="walk", hands=((0.2, 0.5), None))
    dog = stage.put("dog", x + man.facing * man.height * 0.75, depth + 1, facing=man.facing)
    stage.thing(dog).pose["legs"] = "run"
    man.pose["ties"] = [(stage.on(person, (0.2, 0.5)), stage.on(dog, (0.55, 0.85)))]
    stage.fact(person, "walking", dog)


def petting(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    beast = stage.put(
        pick(stage, *_BEASTS), x + man.facing * man.height * 0.62, depth - 0.5, facing=man.facing
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
        pick(stage, "horse", "cow", "elephant", "sheep"),
        x + man.facing * man.height,
        depth,
        facing=-man.facing,
    )
    animal = stage.thing(beast)
    hand_y = min(0.75, max(0.35, stage.into(person, stage.on(beast, muzzle_of(animal)))[1]))
    apple = in_hand(stage, person, "apple", (0.36, hand_y))
    reach = stage.on(person, (0.46, hand_y))
    muzzle = stage.on(beast, muzzle_of(animal))
    animal.at = (animal.at[0] + reach[0] - muzzle[0], animal.at[1])
    stage.fact(person, "feeding", beast)
    stage.fact(person, "holding", apple)


def chasing(stage: Stage, x: float, depth: float) -> None:
    hunter = stage.put(pick(stage, "dog", "cat"), x, depth)
    first = stage.thing(hunter)
    prey_kind = pick(stage, *(k for k in ("ball", "cat", "bird", "dog") if k != first.kind))
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
    beast = stage.put(pick(stage, "dog", "horse"), x, depth)
    top = stage.on(bench, (0, 1.0))[1]
    animal = stage.thing(beast)
    animal.at, animal.depth = (x, top + animal.height * 0.22), depth + 0.01
    animal.pose.update(legs="jump", gaze=10.0)
    animal.turn = 10.0
    stage.fact(beast, "jumping over", bench)


def looking(stage: Stage, x: float, depth: float) -> None:
    person = stage.put("person", x, depth)
    man = stage.thing(person)
    kind = pick(stage, *ANIMALS, "kite", "car", "boat", "cake", "tree")
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
