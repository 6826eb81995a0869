"""Look-alikes: the boxes of an interaction, and no interaction."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from relforge.demo.world.compose import draw_image
from relforge.demo.world.dataset import main, write_split
from relforge.demo.world.interactions import INTERACTIONS, SPATIAL
from relforge.demo.world.look_alikes import LOOK_ALIKES, add_look_alike, frame_of
from relforge.demo.world.render import render
from relforge.demo.world.scene_builder import SceneBuilder


def built(name: str, look_alike: bool, seed: int = 3) -> SceneBuilder:
    builder = SceneBuilder((256, 256), np.random.default_rng(seed))
    if look_alike:
        add_look_alike(builder, name, 128.0, 200.0)
    else:
        INTERACTIONS[name](builder, 128.0, 200.0)
    return builder


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_classes_and_boxes_are_those_of_the_interaction(name: str) -> None:
    real, alike = built(name, False), built(name, True)

    assert [thing.kind for thing in alike.scene.things] == [thing.kind for thing in real.scene.things]
    for index in range(len(real.scene.things)):
        one, two = frame_of(real, index), frame_of(alike, index)
        assert two[1] == pytest.approx(one[1], abs=1.5)
        assert two[3] == pytest.approx(one[3], abs=1.5)
        assert one[0] + one[2] == pytest.approx(two[0] + two[2], abs=3.0)


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_only_the_image_and_the_facts_differ(name: str) -> None:
    real, alike = built(name, False), built(name, True)

    assert {predicate for _, predicate, _ in alike.scene.facts} <= set(SPATIAL)
    images = [render(one.scene, np.random.default_rng(0))[0] for one in (real, alike)]
    assert (np.abs(np.subtract(*(np.asarray(one, int) for one in images))).max(-1) > 40).sum() > 20


def test_the_frame_is_the_box_that_is_drawn() -> None:
    builder = built("riding", False)
    boxes = render(builder.scene, np.random.default_rng(0))[1]

    for index, box in enumerate(boxes):
        assert box is not None
        left, top, right, bottom = frame_of(builder, index)
        assert (left, top, right - left, bottom - top) == pytest.approx(box, abs=0.6)


def test_look_alikes_stand_beside_the_same_classes_unless_none_are_asked_for() -> None:
    without = [name for name in INTERACTIONS if name != "riding"]
    drawn = draw_image(0, 0, 192, without, look_alikes=1.0)
    riding = [fact for fact in drawn.facts if fact[1] == "riding"]
    behind = [fact for fact in drawn.facts if fact[1] == "behind"]
    kinds = [thing.kind for thing in drawn.scene.things]
    mounts = {kinds[object_] for _, _, object_ in riding}

    assert mounts & {kinds[object_] for _, _, object_ in behind}
    assert draw_image(0, 0, 64).boxes != draw_image(0, 0, 64, look_alikes=0.0).boxes


def test_without_them_the_world_is_as_it_was_before_it_had_them() -> None:
    drawn = [draw_image(0, number, 64, look_alikes=0.0) for number in range(4)]

    seen = json.dumps([[one.boxes, one.facts, one.image.getpixel((20, 20))] for one in drawn])
    assert hashlib.sha256(seen.encode()).hexdigest()[:16] == "34ec11ee48d670ad"


def test_a_split_says_how_many_it_has(tmp_path: Path) -> None:
    main([str(tmp_path), "--split", "detection=2", "--size", "64", "--look-alikes", "0.5"])

    assert json.loads((tmp_path / "detection" / "drawn.json").read_text())["look_alikes"] == 0.5


def test_where_they_are_drawn_it_shows_from_afar_which_way_people_look() -> None:
    def image(bold: bool, facing: int) -> np.ndarray:
        builder = SceneBuilder((96, 96), np.random.default_rng(0), bold=bold)
        person = builder.thing(builder.place("person", 48.0, 88.0, facing=1))
        person.facing, person.height = facing, 60.0
        return np.asarray(render(builder.scene, np.random.default_rng(0))[0], int)

    plain, bold = ((np.abs(image(large, 1) - image(large, -1)).max(-1) > 40).sum() for large in (False, True))
    assert bold > 1.4 * plain


def test_what_stands_on_a_post_shows_it() -> None:
    builder = built("eating", True)
    (post,) = builder.scene.things[-1].pose.posts
    shown = np.asarray(render(builder.scene, np.random.default_rng(0))[0], int)
    x, y = int(post[0][0]), int((post[0][1] + post[1][1]) / 2)

    red, green, blue = shown[y, x]
    assert red > 1.5 * max(green, blue)


def test_the_list_of_things_does_not_tell_which_is_the_real_one(tmp_path: Path) -> None:
    drawn = write_split(tmp_path, "detection", 60, size=64, look_alikes=1.0)

    firsts = []
    for graph in json.loads((drawn / "scene_graphs.json").read_text()):
        first = graph["objects"][0]["object_id"]
        doing = {
            number
            for r in graph["relationships"]
            if r["predicate"] not in SPATIAL
            for number in (r["subject_id"], r["object_id"])
        }
        firsts.append((first in doing, len(doing) / len(graph["objects"])))
    named, expected = (sum(column) / len(firsts) for column in zip(*firsts, strict=True))
    assert abs(named - expected) < 0.2  # 1 where the interaction that happens is listed first
