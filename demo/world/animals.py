"""Four-legged animals and birds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from relforge.demo.world.pen import Colour, Pen, Point, shade
from relforge.demo.world.scene import Thing


@dataclass(frozen=True)
class Build:
    """Proportions of a four-legged animal, in units of its height at the back.

    Args:
        length, belly: half length of the body and its half thickness.
        neck, head: length of neck and head.
        leg: leg length; the back is at `leg + 2 * belly`.
    """

    length: float
    belly: float
    neck: float
    head: float
    leg: float
    neck_angle: float = 45.0


BUILDS = {
    "dog": Build(0.55, 0.2, 0.28, 0.2, 0.55, 50),
    "cat": Build(0.55, 0.2, 0.16, 0.19, 0.5, 40),
    "horse": Build(0.55, 0.17, 0.48, 0.2, 0.62, 55),
    "cow": Build(0.68, 0.24, 0.24, 0.22, 0.48, 20),
    "sheep": Build(0.52, 0.27, 0.18, 0.16, 0.4, 30),
    "elephant": Build(0.6, 0.27, 0.16, 0.25, 0.45, 20),
}


def back_of(animal: Thing) -> float:
    """Height of the back in the animal's frame."""
    build = BUILDS[animal.kind]
    return build.leg + 2 * build.belly * 0.9


def muzzle_of(animal: Thing) -> Point:
    """Tip of the muzzle in the animal's frame."""
    _, _, muzzle = _head(animal)
    return muzzle


def _head(animal: Thing) -> tuple[Point, Point, Point]:
    build = BUILDS[animal.kind]
    lift = build.leg + build.belly + (0.1 if animal.pose.legs == "jump" else 0.0)
    shoulder = (build.length * 0.85, lift + build.belly * 0.3)
    angle = math.radians(build.neck_angle)
    head = (shoulder[0] + build.neck * math.cos(angle), shoulder[1] + build.neck * math.sin(angle))
    gaze = math.radians(animal.pose.gaze if animal.pose.gaze is not None else -20.0)
    return shoulder, head, (head[0] + build.head * math.cos(gaze), head[1] + build.head * math.sin(gaze))


def draw_animal(pen: Pen, animal: Thing) -> None:
    """Draws a kind of `BUILDS`."""
    build, coat = BUILDS[animal.kind], animal.colours["coat"][1]
    dark, legs = shade(coat, 0.7), animal.pose.legs
    if legs == "curl":
        _curled(pen, animal, coat)
        return
    shoulder, head, muzzle = _head(animal)
    body = build.leg + build.belly + (0.1 if legs == "jump" else 0.0)
    swing = {"stand": (0.09, -0.1), "run": (0.3, -0.32), "jump": (0.38, -0.4)}[legs]
    thick = 0.2 if animal.kind == "elephant" else 0.11 if animal.kind in {"cow", "sheep"} else 0.085
    for x, reach, tone in (
        (-0.8, swing[1], 0.7),
        (0.75, swing[0], 0.7),
        (-0.9, swing[1] * 0.6, 0.9),
        (0.85, swing[0] * 0.7, 0.9),
    ):
        hip = (x * build.length * 0.85, body - build.belly * 0.4)
        drop = build.leg if legs == "stand" else build.leg * 0.8
        pen.stroke(
            [
                hip,
                (hip[0] + reach * 0.4, hip[1] - drop * 0.5),
                (hip[0] + reach, body - build.belly - drop + 0.04),
            ],
            thick,
            shade(coat, tone),
        )
    tail = (-build.length, body + build.belly * 0.5)
    drop = 0.35 if animal.kind in {"horse", "cow", "elephant"} else -0.3
    pen.stroke(
        [tail, (tail[0] - 0.14, tail[1] - drop * 0.5), (tail[0] - 0.16, tail[1] - drop)],
        0.06 if animal.kind != "horse" else 0.11,
        dark,
    )
    pen.blob((0, body), build.length, build.belly, coat)
    if animal.kind == "cow":
        for x, y, r in ((-0.3, 0.05, 0.16), (0.2, -0.02, 0.13)):
            pen.blob((x, body + y), r, r * 0.7, animal.colours["patch"][1])
    if animal.kind == "sheep":
        for x in (-0.4, -0.15, 0.1, 0.35):
            pen.blob((x, body + 0.1), 0.19, 0.2, shade(coat, 1.05))
    pen.stroke([shoulder, head], 0.3 if animal.kind in {"horse", "elephant"} else 0.2, coat)
    face = animal.colours["patch"][1] if animal.kind == "sheep" else coat
    pen.stroke([head, muzzle], build.head * 0.85, face)
    _ears(pen, animal, head, dark)
    if animal.kind == "elephant":
        pen.stroke(
            [muzzle, (muzzle[0] + 0.1, muzzle[1] - 0.25), (muzzle[0] + 0.06, muzzle[1] - 0.5)], 0.11, coat
        )
    if animal.kind == "horse":
        pen.stroke([(shoulder[0] - 0.08, shoulder[1] + 0.12), (head[0] - 0.12, head[1] + 0.06)], 0.1, dark)
    middle = ((head[0] + muzzle[0]) / 2, (head[1] + muzzle[1]) / 2 + build.head * 0.18)
    pen.blob(middle, 0.035, 0.035, (25, 22, 25))
    pen.blob(muzzle, build.head * 0.25, build.head * 0.2, shade(face, 0.55))


def _ears(pen: Pen, animal: Thing, head: Point, dark: Colour) -> None:
    if animal.kind == "elephant":
        pen.blob((head[0] - 0.08, head[1] - 0.02), 0.17, 0.24, dark)
    elif animal.kind == "dog":
        pen.blob((head[0] - 0.04, head[1] - 0.02), 0.055, 0.13, dark, tilt=-15)
    else:
        tall = 0.16 if animal.kind in {"cat", "horse"} else 0.1
        for x in (-0.1, 0.0):
            pen.shape(
                [
                    (head[0] + x - 0.05, head[1] + 0.08),
                    (head[0] + x + 0.05, head[1] + 0.08),
                    (head[0] + x, head[1] + 0.08 + tall),
                ],
                dark,
            )


def _curled(pen: Pen, animal: Thing, coat: Colour) -> None:
    """Asleep: a round body, the head on the paws, the eye shut."""
    pen.blob((0, 0.2), 0.52, 0.24, coat)
    pen.stroke([(-0.45, 0.12), (-0.2, 0.02), (0.15, 0.04)], 0.08, shade(coat, 0.7))
    pen.blob((0.42, 0.16), 0.2, 0.15, shade(coat, 1.08))
    _ears(pen, animal, (0.4, 0.2), shade(coat, 0.7))
    pen.stroke([(0.44, 0.17), (0.54, 0.16)], 0.025, (25, 22, 25))


def draw_bird(pen: Pen, bird: Thing) -> None:
    """A bird; `legs` fly spreads the wings."""
    coat, dark = bird.colours["coat"][1], shade(bird.colours["coat"][1], 0.65)
    for x in (-0.06, 0.08):
        pen.stroke([(x, 0.35), (x, 0.0)], 0.05, (220, 150, 50))
    pen.shape([(-0.35, 0.5), (-0.8, 0.62), (-0.78, 0.42)], dark)
    pen.blob((0, 0.5), 0.45, 0.26, coat)
    if bird.pose.legs == "fly":
        pen.shape([(-0.15, 0.6), (0.2, 0.6), (-0.25, 1.15), (-0.5, 1.1)], dark)
    else:
        pen.blob((-0.1, 0.52), 0.3, 0.14, dark, tilt=-10)
    gaze = math.radians(bird.pose.gaze or 0.0)
    pen.blob((0.38, 0.78), 0.19, 0.19, coat)
    tip = (0.38 + 0.42 * math.cos(gaze), 0.78 + 0.42 * math.sin(gaze))
    across = (-math.sin(gaze) * 0.08, math.cos(gaze) * 0.08)
    base = (0.38 + 0.15 * math.cos(gaze), 0.78 + 0.15 * math.sin(gaze))
    pen.shape(
        [(base[0] + across[0], base[1] + across[1]), tip, (base[0] - across[0], base[1] - across[1])],
        (235, 165, 50),
    )
    pen.blob((0.44, 0.84), 0.045, 0.045, (20, 20, 25))
