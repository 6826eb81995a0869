"""Vehicles, furniture and small things. Every function draws into the unit frame of `Pen`."""

from __future__ import annotations

import math

import numpy as np

from relforge.demo.world.pen import Pen, shade
from relforge.demo.world.scene import Thing

_STEEL = (90, 92, 98)


def draw_bicycle(pen: Pen, thing: Thing) -> None:
    frame = thing.colours["colour"][1]
    for x in (-0.55, 0.55):
        ring = [(x + 0.36 * math.cos(a), 0.38 + 0.36 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 25)]
        pen.stroke(ring, 0.05, (40, 40, 42))
        for a in np.linspace(0, math.pi, 4)[:-1]:
            pen.stroke(
                [
                    (x - 0.34 * math.cos(a), 0.38 - 0.34 * math.sin(a)),
                    (x + 0.34 * math.cos(a), 0.38 + 0.34 * math.sin(a)),
                ],
                0.012,
                _STEEL,
            )
    seat, bars, pedals = (-0.22, 0.92), (0.42, 0.98), (-0.02, 0.36)
    pen.stroke([(-0.55, 0.38), pedals, (0.4, 0.78), (-0.2, 0.78), (-0.55, 0.38)], 0.055, frame)
    pen.stroke([pedals, seat], 0.055, frame)
    pen.stroke([(0.55, 0.38), bars], 0.055, frame)
    pen.stroke([(seat[0] - 0.1, seat[1]), (seat[0] + 0.12, seat[1])], 0.09, (40, 35, 35))
    pen.stroke([bars, (bars[0] + 0.12, bars[1] + 0.05)], 0.06, (40, 35, 35))


def draw_car(pen: Pen, thing: Thing) -> None:
    paint, glass = thing.colours["colour"][1], (185, 215, 230)
    pen.shape(
        [
            (-1.2, 0.18),
            (1.2, 0.18),
            (1.25, 0.5),
            (0.75, 0.58),
            (0.45, 0.98),
            (-0.6, 0.98),
            (-0.9, 0.58),
            (-1.22, 0.52),
        ],
        paint,
    )
    pen.shape([(-0.78, 0.58), (-0.53, 0.9), (-0.12, 0.9), (-0.12, 0.58)], glass)
    pen.shape([(-0.04, 0.58), (-0.04, 0.9), (0.4, 0.9), (0.64, 0.58)], glass)
    pen.blob((1.14, 0.42), 0.08, 0.07, (250, 240, 170))
    for x in (-0.72, 0.74):
        pen.blob((x, 0.2), 0.22, 0.22, (35, 35, 38))
        pen.blob((x, 0.2), 0.1, 0.1, (170, 170, 175))


def draw_boat(pen: Pen, thing: Thing) -> None:
    hull = thing.colours["colour"][1]
    pen.shape([(-1.2, 0.6), (1.35, 0.66), (0.95, 0.05), (-0.9, 0.05)], hull)
    pen.stroke([(-1.2, 0.6), (1.35, 0.66)], 0.08, shade(hull, 0.6))


def draw_skateboard(pen: Pen, thing: Thing) -> None:
    pen.stroke([(-1.9, 0.95), (-1.5, 0.6), (1.5, 0.6), (1.9, 0.95)], 0.35, thing.colours["colour"][1])
    for x in (-1.1, 1.1):
        pen.blob((x, 0.22), 0.24, 0.24, (50, 50, 50))


def draw_chair(pen: Pen, thing: Thing) -> None:
    wood = thing.colours["colour"][1]
    for x in (-0.25, 0.26):
        pen.stroke([(x, 0), (x, 0.45)], 0.06, shade(wood, 0.75))
    pen.stroke([(-0.28, 0.45), (-0.34, 1.0)], 0.08, wood)
    pen.shape([(-0.32, 0.42), (0.32, 0.42), (0.32, 0.5), (-0.32, 0.5)], wood)
    pen.shape([(-0.38, 0.62), (-0.26, 0.62), (-0.3, 1.0), (-0.4, 1.0)], shade(wood, 1.1))


def draw_table(pen: Pen, thing: Thing) -> None:
    wood = thing.colours["colour"][1]
    for x in (-0.8, 0.8, -0.62, 0.62):
        pen.stroke([(x, 0.0 if abs(x) > 0.7 else 0.12), (x, 0.9)], 0.08, shade(wood, 0.7))
    pen.shape([(-1.0, 0.86), (1.0, 0.86), (0.88, 1.0), (-0.88, 1.0)], wood)


def draw_bench(pen: Pen, thing: Thing) -> None:
    wood = thing.colours["colour"][1]
    for x in (-1.0, 1.0):
        pen.stroke([(x, 0), (x, 0.5)], 0.1, _STEEL)
        pen.stroke([(x, 0.5), (x - 0.05, 1.0)], 0.07, _STEEL)
    for y in (0.7, 0.9):
        pen.shape([(-1.1, y - 0.07), (1.1, y - 0.07), (1.1, y + 0.07), (-1.1, y + 0.07)], wood)
    pen.shape([(-1.15, 0.44), (1.15, 0.44), (1.1, 0.55), (-1.1, 0.55)], shade(wood, 1.1))


def draw_bed(pen: Pen, thing: Thing) -> None:
    wood, cloth = thing.colours["wood"][1], thing.colours["colour"][1]
    pen.shape([(-1.6, 0), (-1.45, 0), (-1.45, 1.25), (-1.6, 1.25)], wood)
    pen.shape([(1.45, 0), (1.58, 0), (1.58, 0.75), (1.45, 0.75)], wood)
    pen.shape([(-1.45, 0.2), (1.45, 0.2), (1.45, 0.55), (-1.45, 0.55)], cloth)
    pen.shape([(-1.45, 0.55), (1.45, 0.55), (1.4, 0.65), (-1.4, 0.65)], shade(cloth, 1.2))
    pen.blob((-1.1, 0.7), 0.3, 0.12, (245, 245, 240))


def draw_ball(pen: Pen, thing: Thing) -> None:
    colour = thing.colours["colour"][1]
    pen.blob((0, 0.5), 0.5, 0.5, colour)
    pen.stroke([(-0.45, 0.55), (0, 0.65), (0.45, 0.5)], 0.08, shade(colour, 0.55))
    pen.stroke([(0.05, 0.97), (0.12, 0.5), (0.0, 0.03)], 0.08, shade(colour, 0.55))


def draw_umbrella(pen: Pen, thing: Thing) -> None:
    """Open, held at its foot."""
    cloth = thing.colours["colour"][1]
    pen.stroke([(0.05, -0.04), (0, 0.0), (0, 0.9)], 0.035, (80, 60, 45))
    dome = [(0.75 * math.cos(a), 0.62 + 0.42 * math.sin(a)) for a in np.linspace(math.pi, 0, 15)]
    scallops = [(x, 0.62 + (0.07 if i % 2 else 0.0)) for i, x in enumerate(np.linspace(0.75, -0.75, 9))]
    pen.shape([*dome, *scallops], cloth)
    for x in (-0.3, 0.3):
        pen.stroke([(0, 1.04), (x, 0.66)], 0.02, shade(cloth, 0.7))


def draw_kite(pen: Pen, thing: Thing) -> None:
    colour = thing.colours["colour"][1]
    pen.stroke([(0, 0), (0.12, -0.25), (-0.02, -0.45), (0.1, -0.65)], 0.04, shade(colour, 0.7))
    pen.shape([(0, 0), (0.38, 0.6), (0, 1.0), (-0.38, 0.6)], colour)
    pen.stroke([(0, 0), (0, 1.0)], 0.03, shade(colour, 0.6))
    pen.stroke([(-0.38, 0.6), (0.38, 0.6)], 0.03, shade(colour, 0.6))


def draw_hat(pen: Pen, thing: Thing) -> None:
    colour = thing.colours["colour"][1]
    if thing.noun == "cap":
        pen.shape([(-0.55, 0.2), (-0.5, 0.75), (0, 1.0), (0.5, 0.75), (0.55, 0.2)], colour)
        pen.stroke([(0.3, 0.22), (1.05, 0.12)], 0.2, shade(colour, 0.8))
    else:
        pen.blob((0, 0.15), 1.0, 0.16, shade(colour, 0.85))
        pen.shape([(-0.52, 0.15), (-0.45, 0.95), (0.45, 0.95), (0.52, 0.15)], colour)
        pen.stroke([(-0.5, 0.28), (0.5, 0.28)], 0.12, shade(colour, 0.5))


def draw_bottle(pen: Pen, thing: Thing) -> None:
    glass = thing.colours["colour"][1]
    pen.shape(
        [
            (-0.2, 0),
            (0.2, 0),
            (0.2, 0.58),
            (0.09, 0.75),
            (0.09, 0.95),
            (-0.09, 0.95),
            (-0.09, 0.75),
            (-0.2, 0.58),
        ],
        glass,
    )
    pen.shape([(-0.2, 0.2), (0.2, 0.2), (0.2, 0.45), (-0.2, 0.45)], (240, 240, 230))
    pen.stroke([(-0.07, 0.97), (0.07, 0.97)], 0.09, (60, 60, 60))


def draw_cup(pen: Pen, thing: Thing) -> None:
    colour = thing.colours["colour"][1]
    pen.stroke([(0.36, 0.75), (0.66, 0.62), (0.6, 0.32), (0.34, 0.22)], 0.11, shade(colour, 0.8))
    pen.shape([(-0.34, 0), (0.34, 0), (0.42, 0.95), (-0.42, 0.95)], colour)
    pen.blob((0, 0.95), 0.42, 0.1, shade(colour, 0.55))


def draw_book(pen: Pen, thing: Thing) -> None:
    colour = thing.colours["colour"][1]
    if thing.pose.open:
        pen.shape([(-0.62, 0.16), (0, 0.0), (0.62, 0.16), (0.62, 0.95), (0, 0.8), (-0.62, 0.95)], colour)
        for side in (-1, 1):
            pen.shape([(0, 0.1), (side * 0.52, 0.25), (side * 0.52, 0.9), (0, 0.76)], (248, 245, 235))
    else:
        pen.shape([(-0.38, 0), (0.38, 0), (0.38, 1), (-0.38, 1)], colour)
        pen.stroke([(0.32, 0.06), (0.32, 0.94)], 0.06, (245, 242, 230))


def draw_apple(pen: Pen, thing: Thing) -> None:
    colour = thing.colours["colour"][1]
    pen.blob((-0.16, 0.45), 0.34, 0.44, colour)
    pen.blob((0.16, 0.45), 0.34, 0.44, colour)
    pen.stroke([(0, 0.8), (0.05, 1.02)], 0.08, (90, 60, 35))
    pen.blob((0.2, 0.98), 0.16, 0.07, (70, 140, 60), tilt=25)


def draw_cake(pen: Pen, thing: Thing) -> None:
    icing = thing.colours["colour"][1]
    pen.shape([(-0.7, 0), (0.7, 0), (0.7, 0.5), (-0.7, 0.5)], (200, 150, 95))
    pen.shape([(-0.72, 0.42), (0.72, 0.42), (0.7, 0.66), (-0.7, 0.66)], icing)
    pen.blob((0, 0.76), 0.14, 0.13, (200, 35, 45))


def draw_bag(pen: Pen, thing: Thing) -> None:
    cloth = thing.colours["colour"][1]
    if thing.noun == "backpack":
        pen.shape([(-0.42, 0), (0.42, 0), (0.46, 0.7), (0.2, 1.0), (-0.2, 1.0), (-0.46, 0.7)], cloth)
        pen.shape([(-0.3, 0.08), (0.3, 0.08), (0.3, 0.42), (-0.3, 0.42)], shade(cloth, 0.75))
    else:
        handle = [(0.3 * math.cos(a), 0.62 + 0.36 * math.sin(a)) for a in np.linspace(math.pi, 0, 12)]
        pen.stroke(handle, 0.08, shade(cloth, 0.6))
        pen.shape([(-0.5, 0), (0.5, 0), (0.42, 0.66), (-0.42, 0.66)], cloth)


def draw_phone(pen: Pen, thing: Thing) -> None:
    pen.shape([(-0.24, 0), (0.24, 0), (0.24, 1), (-0.24, 1)], (30, 30, 35))
    pen.shape([(-0.17, 0.14), (0.17, 0.14), (0.17, 0.88), (-0.17, 0.88)], (120, 185, 225))


def draw_tree(pen: Pen, thing: Thing) -> None:
    leaf = thing.colours["colour"][1]
    pen.shape([(-0.08, 0), (0.08, 0), (0.05, 0.55), (-0.05, 0.55)], (105, 75, 50))
    for x, y, r in ((-0.2, 0.62, 0.19), (0.2, 0.62, 0.19), (0, 0.82, 0.22), (0, 0.62, 0.2)):
        pen.blob((x, y), r, r * 0.9, shade(leaf, 0.85 + 0.3 * (y - 0.6)))


def draw_lamp(pen: Pen, thing: Thing) -> None:
    shade_colour = thing.colours["colour"][1]
    pen.blob((0, 0.02), 0.14, 0.03, _STEEL)
    pen.stroke([(0, 0.02), (0, 0.75)], 0.03, _STEEL)
    pen.shape([(-0.2, 0.7), (0.2, 0.7), (0.12, 1.0), (-0.12, 1.0)], shade_colour)
