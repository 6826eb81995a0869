"""What a scene holds before it is drawn: things with a place, a pose and what they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from relforge.demo.world.pen import Point

Fact = tuple[int, str, int]
"""(subject index, predicate, object index) into `Scene.things`."""


@dataclass
class Thing:
    """One thing of a scene.

    Args:
        kind: its class, a key of `catalogue.CLASSES`.
        noun: what captions call it (the class or one of its sub-kinds).
        at: foot, pixels from the top left.
        height: pixels per unit of its frame (its height when upright).
        facing: 1 right, -1 left.
        depth: picture row of the ground it stands on; larger is nearer. Things are drawn far to near.
        turn: degrees it tips backwards.
        look: colours, named so that captions can use them.
        pose: what its drawing function reads (joint targets, gaze, ...).
    """

    kind: str
    noun: str
    at: Point
    height: float
    facing: int = 1
    depth: float = 0.0
    turn: float = 0.0
    look: dict[str, Any] = field(default_factory=dict)
    pose: dict[str, Any] = field(default_factory=dict)


@dataclass
class Scene:
    """Things, the facts about them, and the stage they stand on.

    Args:
        size: (width, height), pixels.
        things: in no particular order; facts index them.
        facts: true by construction (who does what to whom); `truth.complete` adds the spatial ones.
        backdrop: colours and kind of place.
    """

    size: tuple[int, int]
    things: list[Thing] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    backdrop: dict[str, Any] = field(default_factory=dict)

    def add(self, thing: Thing) -> int:
        self.things.append(thing)
        return len(self.things) - 1
