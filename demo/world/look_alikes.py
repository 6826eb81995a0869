"""Things placed as in an interaction that is not happening: boxes and classes are those of the real one.

Of boxes alone nobody can tell a rider from a person who stands behind the horse, or who holds a cup from who
has a cup on a post behind their back. The image tells: legs, arms, gaze, who hides whom, a leash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from relforge.demo.world.interactions import INTERACTIONS
from relforge.demo.world.pen import SUPERSAMPLE
from relforge.demo.world.render import draw_thing
from relforge.demo.world.scene_builder import SceneBuilder

Frame = tuple[float, float, float, float]
"""Left, top, right, bottom, pixels; also outside of the image."""

Undo = Callable[[SceneBuilder, list[int]], None]
"""(builder, indices of the things that an interaction placed, the acting one first) -> None."""


def turn_away(builder: SceneBuilder, placed: list[int]) -> None:
    """The acting thing does the same to the other side, where there is nothing; strings and leashes go."""
    actor = builder.thing(placed[0])
    frame = frame_of(builder, placed[0])
    actor.facing = -actor.facing
    actor.pose = replace(actor.pose, ties=[])
    fit(builder, placed[0], frame)


def turn_both(builder: SceneBuilder, placed: list[int]) -> None:
    """Both turn their backs to each other."""
    turn_away(builder, placed[:1])
    turn_away(builder, placed[1:2])


def let_go(builder: SceneBuilder, placed: list[int]) -> None:
    """The arms hang, and what was in hand stands on a post."""
    actor = builder.thing(placed[0])
    frame = frame_of(builder, placed[0])
    actor.pose = replace(actor.pose, hands=(None, None))
    fit(builder, placed[0], frame)
    _add_post(builder, placed[-1])


def put_on_post(builder: SceneBuilder, placed: list[int]) -> None:
    """The acting thing turns away, and what it had in hand stands on a post."""
    turn_away(builder, placed)
    _add_post(builder, placed[-1])


def lift_on_post(builder: SceneBuilder, placed: list[int]) -> None:
    """What lay on something stands on posts in front of it."""
    for index in placed[1:]:
        _add_post(builder, index)


def stand_behind(builder: SceneBuilder, placed: list[int]) -> None:
    """Who rode, sat or sailed stands behind the thing, the other way round, and points ahead."""
    thing, person = placed[:2]
    man = builder.thing(person)
    frame = frame_of(builder, person)
    man.facing = -man.facing
    man.pose = replace(man.pose, legs="stand", hands=((0.42, 0.72), (0.4, 0.66)))
    man.depth = builder.thing(thing).depth - 0.5
    fit(builder, person, frame)
    builder.add_fact(person, "behind", thing)
    builder.add_fact(thing, "in front of", person)


LOOK_ALIKES: dict[str, Undo] = {
    "riding": stand_behind,
    "sitting on": stand_behind,
    "in": stand_behind,
    "lying on": lift_on_post,
    "sleeping on": lift_on_post,
    "holding": put_on_post,
    "carrying": put_on_post,
    "eating": put_on_post,
    "drinking from": put_on_post,
    "reading": put_on_post,
    "talking on": let_go,
    "on": lift_on_post,
    "perched on": lift_on_post,
    "kicking": turn_away,
    "throwing": turn_away,
    "flying": turn_away,
    "walking": turn_away,
    "pushing": turn_away,
    "petting": turn_away,
    "feeding": put_on_post,
    "leaning against": turn_away,
    "climbing": turn_away,
    "chasing": turn_away,
    "looking at": turn_away,
    "hugging": turn_both,
}
"""Interaction -> how its look-alike is made."""

_ACTOR_SECOND = {"leaning against", "climbing"}
"""Interactions that place the acting thing after the other."""


def add_look_alike(builder: SceneBuilder, name: str, x: float, depth: float) -> None:
    """Place the things of an interaction as it would, without it, and without its facts."""
    things, facts = len(builder.scene.things), len(builder.scene.facts)
    INTERACTIONS[name](builder, x, depth)
    del builder.scene.facts[facts:]
    placed = list(range(things, len(builder.scene.things)))
    LOOK_ALIKES[name](builder, placed[::-1] if name in _ACTOR_SECOND else placed)


def frame_of(builder: SceneBuilder, index: int) -> Frame:
    """The box of a thing, as if the image had no edges."""
    thing = builder.thing(index)
    width, height = builder.scene.size
    # drawn in the middle of an image twice as large, so that nothing is cut off
    middle = replace(thing, at=(float(width), float(height) * 1.5))
    covered = np.asarray(draw_thing(middle, (2 * width, 2 * height)).getchannel("A")) > 127
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    across, down = thing.at[0] - middle.at[0], thing.at[1] - middle.at[1]
    return (
        columns[0] / SUPERSAMPLE + across,
        rows[0] / SUPERSAMPLE + down,
        (columns[-1] + 1) / SUPERSAMPLE + across,
        (rows[-1] + 1) / SUPERSAMPLE + down,
    )


def fit(builder: SceneBuilder, index: int, frame: Frame) -> None:
    """Scale and move a thing until its box has the height and the middle of `frame`."""
    thing = builder.thing(index)
    now = frame_of(builder, index)
    thing.height *= (frame[3] - frame[1]) / (now[3] - now[1])
    now = frame_of(builder, index)
    across = (frame[0] + frame[2] - now[0] - now[2]) / 2
    thing.at = (thing.at[0] + across, thing.at[1] + frame[3] - now[3])


def _add_post(builder: SceneBuilder, index: int) -> None:
    left, _, right, bottom = frame_of(builder, index)
    middle = (left + right) / 2
    thing = builder.thing(index)
    ground = max(thing.depth, bottom + 3.0)
    thing.pose = replace(thing.pose, posts=[((middle, bottom), (middle, ground))])
