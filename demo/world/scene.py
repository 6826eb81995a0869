"""What a scene holds before it is drawn: things with a place, a pose and what they do."""

from __future__ import annotations

from dataclasses import dataclass, field

from relforge.demo.world.pen import Colour, NamedColour, Point

Fact = tuple[int, str, int]
"""(subject index, predicate, object index) into `Scene.things`."""


@dataclass
class Pose:
    """Posture of a thing.

    Args:
        legs: stand, walk, sit, ride, run, kick, climb (people); stand, run, jump, curl, fly (animals).
        hands: two points of a person's frame; None: the arm hangs.
        gaze: degrees above the horizon, relative to facing; None: as its kind usually looks.
        hip: height of a person's hip, in units of the person's height.
        asleep: the eyes are shut.
        open: a book is open.
        ties: the two ends of each leash or kite string, image pixels.
        posts: top and foot of each post that a thing stands on, image pixels.
    """

    legs: str = "stand"
    hands: tuple[Point | None, Point | None] = (None, None)
    gaze: float | None = None
    hip: float = 0.48
    asleep: bool = False
    open: bool = False
    ties: list[tuple[Point, Point]] = field(default_factory=list)
    posts: list[tuple[Point, Point]] = field(default_factory=list)


@dataclass(frozen=True)
class Backdrop:
    """What is behind all things.

    Args:
        place: park, street, beach or room.
        horizon: image row where the ground begins, pixels.
        far, near: colours above and below the horizon.
        texture: strength of the light and dark blotches, grey levels.
        window: left edge of a room's window, as a share of the width.
    """

    place: str
    horizon: float
    far: Colour
    near: Colour
    texture: float
    window: float


@dataclass
class Thing:
    """One thing of a scene.

    Args:
        kind: its class, a key of `catalogue.CLASSES`.
        noun: what captions call it (the class or one of its sub-kinds).
        at: foot, pixels from the top left.
        height: pixels per unit of its frame (its height when upright).
        facing: 1 right, -1 left.
        depth: image row of the ground it stands on; larger is nearer. Things are drawn far to near.
        turn: degrees it tips backwards.
        colours: of its parts, named so that captions can use them.
        pose: its posture; a drawing function reads the fields that apply to it.
        bold: what tells its doings (face, arms, feet, strings) is drawn large.
    """

    kind: str
    noun: str
    at: Point
    height: float
    facing: int = 1
    depth: float = 0.0
    turn: float = 0.0
    colours: dict[str, NamedColour] = field(default_factory=dict)
    pose: Pose = field(default_factory=Pose)
    bold: bool = False


@dataclass
class Scene:
    """Things, the facts about them, and what is behind them.

    Args:
        size: (width, height), pixels.
        backdrop: colours and kind of place.
        things: in no particular order; facts index them.
        facts: true by construction (who does what to whom); `truth.complete` adds the spatial ones.
    """

    size: tuple[int, int]
    backdrop: Backdrop
    things: list[Thing] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def add(self, thing: Thing) -> int:
        self.things.append(thing)
        return len(self.things) - 1
