"""`relforge view --sheet`: drawn relations on one sheet."""

from __future__ import annotations

import numpy as np
from PIL import Image

from relforge.reports.view import sheet
from relforge.reports.view.sheet import SIDE, cut_pair, draw_sheet


def keys(said) -> list[tuple]:
    return [tuple(one.values()) for one in said.json["relations"]]


def test_the_same_seed_draws_the_same_and_more_contain_fewer(relforge, finished, tmp_path) -> None:
    few = keys(relforge("view", finished, "--sheet", tmp_path / "a.png", "--relations", 3, "--json"))
    more = keys(relforge("view", finished, "--sheet", tmp_path / "b.png", "--relations", 6, "--json"))
    others = keys(
        relforge("view", finished, "--sheet", tmp_path / "c.png", "--relations", 3, "--seed", 1, "--json")
    )

    assert len(few) == 3
    assert more[:3] == few
    assert others != few
    assert Image.open(tmp_path / "b.png").size[0] > 6 * SIDE


def test_a_condition_says_what_is_drawn_from(relforge, finished, tmp_path) -> None:
    where = "image_id = '00007'"
    drawn = keys(relforge("view", finished, "--sheet", tmp_path / "a.png", "--where", where, "--json"))

    assert drawn
    assert {one[0] for one in drawn} == {"00007"}


def test_an_image_that_cannot_be_read_keeps_its_place(finished) -> None:
    shown, drawn = draw_sheet(str(finished), 1, 0)

    assert len(drawn) == 1
    assert (np.asarray(shown)[:SIDE] == 235).mean() > 0.5  # the empty frame of the tiny job's images


def test_a_tile_says_what_the_relation_was_chosen_by(finished, monkeypatch) -> None:
    scene = {
        "width": 10, "captions": [],
        "boxes": [{"id": one, "category": name, "xywh": [0, 0, 5, 5]} for one, name in enumerate(("a", "b"))],
        "relations": [
            {"subject": 0, "predicate": "on", "object": 1, "score": 0.9, "tagger": 0.03, "support": 1,
             "verdict": None, "evidence": []}
        ],
    }  # fmt: skip
    written: list[str] = []
    monkeypatch.setattr(sheet.ImageDraw.ImageDraw, "text", lambda _, at, text, **__: written.append(text))

    sheet._tile(Image.new("RGB", (400, 400)), (0, 0), None, "no file", scene, ("1", 0, "on", 1), 1)

    assert "image 1, boxes 0 1, quality 0.90, said 1x" in written


def test_boxes_lie_where_they_are_in_the_image() -> None:
    image = Image.new("RGB", (1000, 500), "black")
    part = np.asarray(cut_pair(image, [[400, 100, 100, 200], [500, 100, 100, 200]])).astype(int)

    # the union is 200 x 200 pixels, its margin 50: the frame is 300 pixels on 300
    red, blue = (part[..., 0] - part[..., 2]) > 100, (part[..., 2] - part[..., 0]) > 100
    assert (np.flatnonzero(red.any(0)).min(), np.flatnonzero(blue.any(0)).max()) == (51, 249)
    assert np.flatnonzero((red | blue).any(1))[[0, -1]].tolist() == [51, 249]


def test_bad_input_is_one_sentence(relforge, finished, tmp_path) -> None:
    beside = relforge("view", finished, "--sheet", tmp_path / "a.png", "--serve")
    alone = relforge("view", finished, "--relations", 3)
    nothing = relforge("view", finished, "--sheet", tmp_path / "a.png", "--where", "support > 99")
    name = relforge("view", finished, "--sheet", tmp_path / "a.what")

    assert [one.code for one in (beside, alone, nothing, name)] == [64] * 4
    assert "--sheet goes with a run folder" in beside.err
    assert "are of --sheet" in alone.err
    assert "no row of relations where 'support > 99' holds" in nothing.err
    assert "name a .png or .jpg file" in name.err
