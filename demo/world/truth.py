"""The complete gold of a scene: the interactions, and where things stand to one another."""

from __future__ import annotations

from relforge.demo.world.catalogue import CLASSES
from relforge.demo.world.render import Box
from relforge.demo.world.scene import Fact, Scene

MIN_VISIBLE = 0.3
"""A thing of which less can be seen is no box and takes part in no fact."""
MIN_PIXELS = 3.0


def complete_facts(scene: Scene, boxes: list[Box | None], visible: list[float]) -> list[Fact]:
    """All facts among visible things, sorted.

    Spatial ones hold between things that stand on the ground and are not part of one interaction:
    `next to` when their feet are at nearly the same depth and the gap between their boxes is below half
    the smaller height; `in front of` / `behind` when one clearly nearer thing overlaps the farther one.
    """
    shown = [i for i in range(len(scene.things)) if is_shown(boxes[i], visible[i])]
    facts = {(s, p, o) for s, p, o in scene.facts if s in shown and o in shown}
    engaged = {(s, o) for s, _, o in scene.facts} | {(o, s) for s, _, o in scene.facts}
    grounded = [i for i in shown if _grounded(scene, i)]
    for a in grounded:
        for b in grounded:
            if a == b or (a, b) in engaged:
                continue
            first, second = scene.things[a], scene.things[b]
            box_a, box_b = boxes[a], boxes[b]
            assert box_a
            assert box_b
            gap = max(box_a[0], box_b[0]) - min(box_a[0] + box_a[2], box_b[0] + box_b[2])
            apart = first.depth - second.depth
            tall = min(box_a[3], box_b[3])
            if abs(apart) < 0.12 * scene.size[1] * 0.5 and -0.15 * tall < gap < 0.5 * tall:
                facts.add((a, "next to", b))
            elif apart > 0.05 * scene.size[1] and gap < -0.25 * min(box_a[2], box_b[2]):
                facts |= {(a, "in front of", b), (b, "behind", a)}
    return sorted(facts)


def is_shown(box: Box | None, visible: float) -> bool:
    """Whether a thing can be seen well enough to be annotated."""
    return box is not None and visible >= MIN_VISIBLE and min(box[2], box[3]) >= MIN_PIXELS


def _grounded(scene: Scene, index: int) -> bool:
    """Stands on the ground itself: a person, an animal, a vehicle, furniture or a plant."""
    thing = scene.things[index]
    return CLASSES[thing.kind].group != "small" and abs(thing.at[1] - thing.depth) < 1.5
