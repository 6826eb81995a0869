"""Scenes drawn by chance: one or two interactions, bystanders, several things of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from relforge.demo.world.hands import dress
from relforge.demo.world.in_places import alone
from relforge.demo.world.interactions import INTERACTIONS
from relforge.demo.world.render import Box, render
from relforge.demo.world.scene import Fact, Scene
from relforge.demo.world.stage import Stage
from relforge.demo.world.truth import complete, is_shown


@dataclass(frozen=True)
class Picture:
    """One finished picture.

    Args:
        scene: with only the things that can be seen, in the order of `boxes`.
        image: RGB.
        boxes: (x, y, w, h) pixels, one per thing.
        facts: complete gold relations among them.
    """

    scene: Scene
    image: Image.Image
    boxes: list[Box]
    facts: list[Fact]


def picture(seed: int, index: int, size: int = 128, without: Sequence[str] = ()) -> Picture:
    """The picture with that number; depends on nothing but the arguments.

    Args:
        seed: of the data set.
        index: number of the picture.
        size: longer side in pixels; the other side varies.
        without: interactions that are not shown.
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(20):
        made = _attempt(rng, size, [name for name in INTERACTIONS if name not in without])
        if made.facts and len(made.boxes) >= 2:
            return made
    return made


def _attempt(rng: np.random.Generator, size: int, names: list[str]) -> Picture:
    ratio = rng.uniform(0.72, 1.0)
    shape = (size, round(size * ratio)) if rng.random() < 0.7 else (round(size * ratio), size)
    stage = Stage(shape, rng)
    count = int(rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25]))
    slots = (np.arange(count + 2) + rng.uniform(0.25, 0.75, count + 2)) / (count + 2) * shape[0]
    rng.shuffle(slots)
    chosen = [names[i] for i in rng.integers(len(names), size=count)]
    if count > 1 and rng.random() < 0.35:
        chosen[1] = chosen[0]  # two of a kind, often unlike in what they do it with
    for name, x in zip(chosen, slots, strict=False):
        INTERACTIONS[name](stage, float(x), stage.ground())
    for x in slots[count : count + int(rng.integers(0, 3))]:
        alone(stage, float(x), stage.ground(0.1, 0.9))
    _hats(stage, rng)
    image, boxes, visible = render(stage.scene, rng)
    shown = [i for i in range(len(boxes)) if is_shown(boxes[i], visible[i])]
    facts = complete(stage.scene, boxes, visible)
    rank = {old: new for new, old in enumerate(shown)}
    scene = Scene(stage.scene.size, [stage.scene.things[i] for i in shown], [], stage.scene.backdrop)
    kept = [(rank[s], p, rank[o]) for s, p, o in facts]
    return Picture(scene, image, [box for i in shown if (box := boxes[i])], kept)


def _hats(stage: Stage, rng: np.random.Generator) -> None:
    """Some people wear a hat while they do something else."""
    wearing = {s for s, p, _ in stage.scene.facts if p == "wearing"}
    for index in [i for i, thing in enumerate(stage.scene.things) if thing.kind == "person"]:
        if index not in wearing and rng.random() < 0.15:
            dress(stage, index)
