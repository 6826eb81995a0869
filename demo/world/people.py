"""People: a jointed figure with hands that reach and a head that looks somewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from relforge.demo.world.pen import Colour, Pen, Point, shade
from relforge.demo.world.scene import Thing


@dataclass(frozen=True)
class Features:
    """Sizes of what tells a person's doings, in units of the person's height.

    Args:
        head: radius; small_head: of a child.
        sleeve, arm: widths of the upper and the lower arm.
        hand: radius, 0: no hand is drawn.
        foot: length.
        edge: width of the dark edge around arms.
    """

    head: float
    small_head: float
    sleeve: float
    arm: float
    hand: float
    foot: float
    edge: float


_PLAIN = Features(head=0.095, small_head=0.115, sleeve=0.065, arm=0.05, hand=0.0, foot=0.06, edge=0.0)
_BOLD = Features(head=0.125, small_head=0.14, sleeve=0.08, arm=0.075, hand=0.05, foot=0.12, edge=0.03)

SHOULDER, HIP, ARM, LEG = 0.78, 0.48, 0.36, 0.48
"""Heights of shoulder and hip, and limb lengths, in units of the person's height."""


def draw_person(pen: Pen, person: Thing) -> None:
    """Draw a person in the pose."""
    colours, pose = person.colours, person.pose
    small = person.noun in {"boy", "girl", "child", "kid"}
    hip = (0.0, pose.hip)
    shoulder = (0.0, hip[1] + SHOULDER - HIP)
    features = _BOLD if person.bold else _PLAIN
    head_radius = features.small_head if small else features.head
    head = (0.015, shoulder[1] + 0.035 + head_radius)
    skin, top, bottom = (colours[part][1] for part in ("skin", "top", "bottom"))
    hands = pose.hands

    _arm(pen, shoulder, hands[1], shade(top, 0.8), skin, features, back=True)
    _legs(pen, hip, pose.legs, bottom, colours["shoes"][1], features.foot)
    if person.noun in {"woman", "girl", "lady"} and pose.legs in {"stand", "walk"}:
        pen.shape(
            [(-0.07, hip[1] + 0.08), (0.07, hip[1] + 0.08), (0.14, hip[1] - 0.2), (-0.14, hip[1] - 0.2)],
            bottom,
        )
    pen.shape(
        [
            (-0.09, shoulder[1] + 0.01),
            (0.09, shoulder[1] + 0.01),
            (0.075, hip[1] - 0.02),
            (-0.075, hip[1] - 0.02),
        ],
        top,
    )
    pen.stroke([(0, shoulder[1]), (0, head[1])], 0.06, skin)
    if person.noun in {"woman", "girl", "lady"}:
        pen.blob((head[0] - 0.05, head[1] - 0.06), 0.075, 0.15, colours["hair"][1])
    pen.blob(head, head_radius, head_radius * 1.12, skin)
    draw_face = _bold_face if person.bold else _face
    draw_face(pen, head, head_radius, pose.gaze or 0.0, colours["hair"][1], skin, pose.asleep)
    _arm(pen, shoulder, hands[0], shade(top, 1.12), skin, features, back=False)


def head_of(person: Thing) -> Point:
    """Centre of the head in the person's frame."""
    hip = person.pose.hip
    return 0.015, hip + SHOULDER - HIP + (0.16 if person.bold else 0.14)


def _frame_of_head(head: Point, radius: float, gaze: float) -> Callable[[float, float], Point]:
    """(along the gaze, across it), in radii of the head -> a point of the person's frame."""
    angle = math.radians(gaze)
    forward = (math.cos(angle), math.sin(angle))
    up = (-forward[1], forward[0])

    def at(along: float, across: float) -> Point:
        return (
            head[0] + radius * (along * forward[0] + across * up[0]),
            head[1] + radius * (along * forward[1] + across * up[1]),
        )

    return at


def _face(
    pen: Pen, head: Point, radius: float, gaze: float, hair: Colour, skin: Colour, asleep: bool
) -> None:
    at = _frame_of_head(head, radius, gaze)
    pen.shape(
        [
            at(-1.05, -0.45),
            at(-1.0, 0.5),
            at(-0.45, 1.12),
            at(0.35, 1.15),
            at(0.75, 0.7),
            at(-0.1, 0.55),
            at(-0.45, -0.1),
        ],
        hair,
    )
    pen.shape([at(0.85, 0.2), at(1.35, -0.12), at(0.85, -0.2)], shade(skin, 0.85))
    if asleep:
        pen.stroke([at(0.25, 0.15), at(0.65, 0.15)], 0.015, (40, 30, 30))
    else:
        pen.blob(at(0.5, 0.2), radius * 0.2, radius * 0.2, (250, 250, 250))
        pen.blob(at(0.6, 0.2), radius * 0.12, radius * 0.12, (30, 30, 40))


def _bold_face(
    pen: Pen, head: Point, radius: float, gaze: float, hair: Colour, skin: Colour, asleep: bool
) -> None:
    """Hair all over the back, a large nose and eye in front: a few pixels show where it looks."""
    at = _frame_of_head(head, radius, gaze)
    back = [
        (0.45, 1.15),
        (-0.5, 1.15),
        (-1.1, 0.6),
        (-1.2, -0.2),
        (-0.95, -1.0),
        (-0.35, -1.0),
        (-0.15, 0.45),
    ]
    pen.shape([at(*point) for point in back], hair)
    pen.shape([at(0.75, 0.35), at(1.65, -0.2), at(0.75, -0.4)], shade(skin, 0.8))
    if asleep:
        pen.stroke([at(0.15, 0.2), at(0.7, 0.2)], 0.03, (40, 30, 30))
    else:
        pen.blob(at(0.4, 0.25), radius * 0.32, radius * 0.32, (250, 250, 250))
        pen.blob(at(0.52, 0.25), radius * 0.18, radius * 0.18, (30, 30, 40))
    pen.stroke([at(0.45, -0.55), at(0.8, -0.55)], 0.025, (120, 40, 40))


def _arm(
    pen: Pen,
    shoulder: Point,
    hand: Point | None,
    sleeve: Colour,
    skin: Colour,
    features: Features,
    back: bool,
) -> None:
    start = (shoulder[0] + (-0.05 if back else 0.05), shoulder[1] - 0.02)
    if hand is None:
        hand = (start[0] + (-0.05 if back else 0.04), start[1] - ARM * 0.95)
    elbow, hand = reach(start, hand, ARM, bend=-1)
    if features.edge:
        pen.stroke([start, elbow, hand], features.arm + features.edge, shade(skin, 0.35))
    pen.stroke([start, elbow], features.sleeve, sleeve)
    pen.stroke([elbow, hand], features.arm, skin)
    if features.hand:
        pen.blob(hand, features.hand, features.hand, skin)


def reach(start: Point, target: Point, length: float, bend: int) -> tuple[Point, Point]:
    """Elbow and hand of a two-part limb of that length; a target out of reach is approached."""
    dx, dy = target[0] - start[0], target[1] - start[1]
    distance = max(1e-6, math.hypot(dx, dy))
    far = min(distance, length * 0.999)
    hand = (start[0] + dx / distance * far, start[1] + dy / distance * far)
    offset = bend * math.sqrt(max(0.0, (length / 2) ** 2 - (far / 2) ** 2))
    middle = ((start[0] + hand[0]) / 2, (start[1] + hand[1]) / 2)
    return (middle[0] - dy / distance * offset, middle[1] + dx / distance * offset), hand


_FEET: dict[str, tuple[Point, Point]] = {
    # where the feet are below the hip, nearer foot first
    "stand": ((0.06, -LEG), (-0.06, -LEG)),
    "walk": ((0.16, -LEG * 0.96), (-0.17, -LEG * 0.95)),
    "run": ((0.27, -LEG * 0.82), (-0.33, -LEG * 0.62)),
    "kick": ((0.34, -LEG * 0.72), (-0.08, -LEG * 0.98)),
    "climb": ((0.14, -LEG * 0.6), (0.1, -LEG * 0.95)),
}


def _legs(pen: Pen, hip: Point, legs: str, cloth: Colour, shoes: Colour, length: float) -> None:
    for side, dim in ((1, 0.8), (0, 1.0)):
        colour = shade(cloth, dim)
        if legs in {"sit", "ride"}:
            knee = (0.21 - 0.03 * side, hip[1] - (0.02 if legs == "sit" else 0.1))
            foot = (knee[0] + (0.0 if legs == "sit" else -0.05), knee[1] - 0.24)
        else:
            target = _FEET[legs][side]
            knee, foot = reach(hip, (hip[0] + target[0], hip[1] + target[1]), LEG, bend=1)
        pen.stroke([(hip[0], hip[1] + 0.01), knee], 0.09, colour)
        pen.stroke([knee, foot], 0.075, colour)
        pen.stroke([foot, (foot[0] + length, foot[1] + 0.005)], 0.055, shoes)
