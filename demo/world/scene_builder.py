"""Builds a scene: its ground and horizon, and things placed on it at the right size."""

from __future__ import annotations

import numpy as np

from relforge.demo.world import palette
from relforge.demo.world.catalogue import make_thing, relative_size
from relforge.demo.world.pen import Pen, Point
from relforge.demo.world.scene import Backdrop, Scene, Thing

_BOLD_SIZE = 1.25
"""Heights in bold scenes, relative to others."""

PLACES = ("park", "street", "beach", "room")


class SceneBuilder:
    """Places things in a scene and records the facts about them.

    Args:
        size: (width, height), pixels.
        rng: source of every random choice.
        bold: things are larger and drawn boldly (`Thing.bold`), so that 128 pixels show who does what.
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator, bold: bool = False) -> None:
        self.rng = rng
        self.bold = bold
        self.preferred: frozenset[str] = frozenset()
        place = PLACES[rng.integers(len(PLACES))]
        indoors = place == "room"
        horizon = size[1] * rng.uniform(0.38, 0.52)
        far = palette.WALLS if indoors else palette.SKIES
        near = palette.FLOORS if indoors else palette.GROUNDS
        self.scene = Scene(
            size,
            Backdrop(
                place=place,
                horizon=horizon,
                far=far[rng.integers(len(far))],
                near=near[1 if place == "beach" else rng.integers(len(near))],
                texture=rng.uniform(2, 9),
                window=rng.uniform(0.05, 0.75),
            ),
        )
        self._horizon = horizon

    def person_height(self, depth: float) -> float:
        """Pixels of a grown person whose feet are at that image row."""
        height = self.scene.size[1]
        near = (depth - self._horizon) / max(1.0, height - self._horizon)
        return height * (0.26 + 0.36 * near) * (_BOLD_SIZE if self.bold else 1.0)

    def ground_row(self, low: float = 0.35, high: float = 0.97) -> float:
        """A random row of the ground; 0 is the horizon, 1 the lower edge."""
        return self._horizon + (self.scene.size[1] - self._horizon) * self.rng.uniform(low, high)

    def place(self, kind: str, x: float, depth: float, facing: int | None = None) -> int:
        """A thing standing on the ground at that depth."""
        thing = make_thing(kind, self.rng)
        thing.bold = self.bold
        thing.at, thing.depth = (x, depth), depth
        thing.height = self.person_height(depth) * relative_size(thing) * self.rng.uniform(0.93, 1.07)
        thing.facing = facing or thing.facing
        return self.scene.add(thing)

    def attach(self, kind: str, point: Point, owner: int, nearer: bool = True) -> int:
        """A thing at a point of the image, at its owner's scale, drawn just before or after it."""
        holder = self.scene.things[owner]
        thing = make_thing(kind, self.rng)
        thing.bold = self.bold
        person = holder.height / relative_size(holder)
        thing.height = person * relative_size(thing) * self.rng.uniform(1.0, 1.25)
        thing.at, thing.depth = point, holder.depth + (0.01 if nearer else -0.01)
        thing.facing = holder.facing
        return self.scene.add(thing)

    def to_pixels(self, index: int, point: Point) -> Point:
        """A point of a thing's frame in image pixels."""
        thing = self.thing(index)
        return Pen((1, 1), thing.at, thing.height, thing.facing, thing.turn).to_pixels(point)

    def to_frame(self, index: int, point: Point) -> Point:
        """An image point in the frame of an upright thing."""
        thing = self.thing(index)
        x = (point[0] - thing.at[0]) / (thing.height * thing.facing)
        return x, (thing.at[1] - point[1]) / thing.height

    def pick(self, *kinds: str) -> str:
        """Draw one of the kinds; one of `preferred` where there is any."""
        kinds = tuple(kind for kind in kinds if kind in self.preferred) or kinds
        return kinds[int(self.rng.integers(len(kinds)))]

    def thing(self, index: int) -> Thing:
        """The thing with that index."""
        return self.scene.things[index]

    def add_fact(self, subject: int, predicate: str, object_: int) -> None:
        """Record that `predicate` holds; both indices into `scene.things`."""
        self.scene.facts.append((subject, predicate, object_))
