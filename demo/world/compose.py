"""Scenes drawn by chance: one or two interactions, bystanders, several things of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from relforge.demo.world.hands import put_hat_on
from relforge.demo.world.in_places import add_bystander
from relforge.demo.world.interactions import INTERACTIONS
from relforge.demo.world.look_alikes import LOOK_ALIKES, add_look_alike
from relforge.demo.world.render import Box, render
from relforge.demo.world.scene import Fact, Scene
from relforge.demo.world.scene_builder import SceneBuilder
from relforge.demo.world.truth import complete_facts, is_shown

LOOK_ALIKES_SHARE = 0.8
"""Default of `draw_image`; with 0 the world is drawn as it was before it had look-alikes."""


@dataclass(frozen=True)
class DrawnImage:
    """One finished image.

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


def draw_image(
    seed: int,
    index: int,
    size: int = 128,
    without: Sequence[str] = (),
    look_alikes: float = LOOK_ALIKES_SHARE,
) -> DrawnImage:
    """The image with that number, a function of the arguments alone.

    Args:
        seed: of the data set.
        index: number of the image.
        size: longer side in pixels; the other side varies.
        without: interactions that are not shown.
        look_alikes: probability that the same things are placed beside an interaction as if it happened once
            more, but it does not (`look_alikes`); twice for each interaction, of which there are one or two.
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(20):
        made = _attempt(rng, size, [name for name in INTERACTIONS if name not in without], look_alikes)
        if made.facts and len(made.boxes) >= 2:
            return made
    return made


def _attempt(rng: np.random.Generator, size: int, names: list[str], look_alikes: float) -> DrawnImage:
    ratio = rng.uniform(0.72, 1.0)
    shape = (size, round(size * ratio)) if rng.random() < 0.7 else (round(size * ratio), size)
    builder = SceneBuilder(shape, rng, bold=look_alikes > 0)
    count = int(rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25]))
    columns = (np.arange(count + 2) + rng.uniform(0.25, 0.75, count + 2)) / (count + 2) * shape[0]
    rng.shuffle(columns)
    chosen = [names[i] for i in rng.integers(len(names), size=count)]
    if count > 1 and rng.random() < 0.35:
        chosen[1] = chosen[0]  # the same interaction twice, often with other objects
    if look_alikes:
        columns = _add_with_look_alikes(builder, chosen, look_alikes)
        count = 0
    for name, x in zip(chosen[:count], columns, strict=False):
        INTERACTIONS[name](builder, float(x), builder.ground_row())
    for x in columns[count : count + int(rng.integers(0, 2 if look_alikes else 3))]:
        add_bystander(builder, float(x), builder.ground_row(0.1, 0.9))
    _add_hats(builder, rng)
    image, boxes, visible = render(builder.scene, rng)
    shown = [i for i in range(len(boxes)) if is_shown(boxes[i], visible[i])]
    facts = complete_facts(builder.scene, boxes, visible)
    rank = {old: new for new, old in enumerate(shown)}
    scene = Scene(builder.scene.size, builder.scene.backdrop, [builder.scene.things[i] for i in shown])
    kept = [(rank[s], p, rank[o]) for s, p, o in facts]
    return DrawnImage(scene, image, [box for i in shown if (box := boxes[i])], kept)


def _add_with_look_alikes(builder: SceneBuilder, names: list[str], share: float) -> np.ndarray:
    """The interactions, each beside a look-alike of itself with that probability; returns free columns."""
    rng = builder.rng
    names = names[: 1 if rng.random() < 0.5 else 2]
    places = 3 * len(names) + 1
    columns = (np.arange(places) + rng.uniform(0.25, 0.75, places)) / places * builder.scene.size[0]
    rng.shuffle(columns)
    free = iter(columns.tolist())
    for name in names:
        before = len(builder.scene.things)
        INTERACTIONS[name](builder, next(free), builder.ground_row())
        builder.preferred = frozenset(thing.kind for thing in builder.scene.things[before:])
        for _ in range(2 if name in LOOK_ALIKES else 0):
            if rng.random() < share:
                add_look_alike(builder, name, next(free), builder.ground_row())
        builder.preferred = frozenset()
    return np.array(list(free))


def _add_hats(builder: SceneBuilder, rng: np.random.Generator) -> None:
    """Some people wear a hat while they do something else."""
    wearing = {s for s, p, _ in builder.scene.facts if p == "wearing"}
    for index in [i for i, thing in enumerate(builder.scene.things) if thing.kind == "person"]:
        if index not in wearing and rng.random() < 0.15:
            put_hat_on(builder, index)
