"""The drawn world: the same arguments give the same bytes, and its annotation is true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from relforge.demo.world.captions import pluralise, write_captions
from relforge.demo.world.catalogue import CLASSES, list_synonyms
from relforge.demo.world.compose import draw_image
from relforge.demo.world.dataset import UNSEEN, main, write_split
from relforge.demo.world.interactions import INTERACTIONS, SPATIAL
from relforge.demo.world.render import render
from relforge.demo.world.scene_builder import SceneBuilder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_split_is_the_same_each_time(tmp_path: Path) -> None:
    first = write_split(tmp_path / "a", "detection", 3, seed=1)
    again = write_split(tmp_path / "b", "detection", 3, seed=1)
    other = write_split(tmp_path / "c", "detection", 3, seed=2)
    assert content(first) == content(again) != content(other)


def test_a_split_that_is_there_is_not_drawn_again(tmp_path: Path) -> None:
    image = write_split(tmp_path, "detection", 2) / "images" / "000001.jpg"
    image.write_bytes(b"kept")

    write_split(tmp_path, "detection", 2)
    assert image.read_bytes() == b"kept"

    write_split(tmp_path, "detection", 2, seed=1)
    assert image.read_bytes() != b"kept"


def test_splits_show_different_images(tmp_path: Path) -> None:
    one, two = (write_split(tmp_path, name, 2) for name in ("vg-like", "caption"))
    assert content(one)["images/000001.jpg"] != content(two)["images/000001.jpg"]


def test_boxes_lie_in_the_image_and_relations_name_boxes(tmp_path: Path) -> None:
    folder = write_split(tmp_path, "hoi", 12, seed=3)
    for graph in json.loads((folder / "scene_graphs.json").read_text()):
        ids = {o["object_id"] for o in graph["objects"]}
        assert len(ids) >= 2
        for box in graph["objects"]:
            assert min(box["w"], box["h"]) > 0
            assert box["x"] + box["w"] <= graph["width"] + 0.1
            assert box["y"] + box["h"] <= graph["height"] + 0.1
        assert {r[end] for r in graph["relationships"] for end in ("subject_id", "object_id")} <= ids


@pytest.mark.parametrize("name", INTERACTIONS)
def test_every_interaction_is_visible_and_has_captions(name: str) -> None:
    builder = SceneBuilder((128, 112), np.random.default_rng(4))
    INTERACTIONS[name](builder, 60.0, builder.ground_row(0.5, 0.9))
    _, boxes, visible = render(builder.scene, builder.rng)
    facts = builder.scene.facts
    assert facts
    assert any(boxes[s] and boxes[o] and visible[s] > 0.3 and visible[o] > 0.3 for s, _, o in facts)
    assert all(text.isascii() for text in write_captions(builder.scene, facts, np.random.default_rng(0)))


def test_the_world_has_the_documented_size() -> None:
    assert len(CLASSES) >= 20
    assert len({*INTERACTIONS, *SPATIAL} - {"sheltering"}) >= 25
    assert "puppy" in list_synonyms()["dog"]
    assert "bike" in list_synonyms()["bicycle"]


def test_withheld_interactions_are_not_shown() -> None:
    shown = {p for index in range(40) for _, p, _ in draw_image(0, index, 96, UNSEEN).facts}
    assert not shown & set(UNSEEN)


def test_plurals() -> None:
    assert [pluralise(n) for n in ("woman", "baseball cap", "bench", "dog")] == [
        "women",
        "baseball caps",
        "benches",
        "dogs",
    ]


def test_an_unknown_split_is_named(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--split", "vg=3"])
    assert "'vg' is not one of vg-like" in capsys.readouterr().err
