"""`relforge view`, down to what a real browser shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from relforge.reports.view.page import write

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">{{title}}"
)


def relation(
    verdict: str | None, predicate: str = "riding", score: float | None = 0.9, **more: Any
) -> dict[str, Any]:
    pair = {"subject": 0, "object": 1, "predicate": predicate, "score": score, "verdict": verdict}
    return {**pair, "support": 1, "rule": "head|head", "evidence": [], **more}


def image(name: str, *relations: dict[str, Any], caption: str = "a man riding a horse") -> dict[str, Any]:
    boxes = [
        {"id": 0, "category": "person", "xywh": [5, 5, 40, 60], "crowd": False},
        {"id": 1, "category": "horse", "xywh": [30, 30, 60, 60], "crowd": False},
    ]
    return {
        "id": name, "width": 128, "height": 96, "boxes": boxes, "captions": [[0, caption]],
        "relations": list(relations), "thumbnail": None, "no_thumbnail": "no image file at x.jpg",
    }  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Three images; the first has one relation of each verdict, the last none."""
    evidence = [[0, [[0, 5, "subject"], [6, 12, "predicate"], [13, 20, "object"]]]]
    missed = relation("missed", "on", None, why="not among the candidates")
    images = [
        image("1", relation("right", evidence=evidence), relation("wrong", "near", 0.3), missed),
        image("2", relation("right", HOSTILE), caption=HOSTILE),
        image("3"),
    ]
    data = {
        "run": "r",
        "dataset": HOSTILE,
        "shown": "relations",
        "measure": "score",
        "gold": True,
        "total": 5,
        "left_out": 2,
        "images": images,
    }
    write(data, str(tmp_path / "page.html"))
    return tmp_path / "page.html"


def words(dom: str) -> str:
    """The text between the tags, the data and code left out."""
    return re.sub(r"<[^>]*>", "", re.sub(r"<(script|style).*?</\1>", "", dom, flags=re.DOTALL))


def test_the_page_shows_boxes_arrows_words_and_verdicts(page, rendered) -> None:
    dom = rendered(page)

    assert dom.count('class="arrow') == 3
    assert {"person 0", "horse 1", "✓ riding 0.90", "✗ near 0.30"} <= set(
        re.findall(r"<text[^>]*>([^<]*)", dom)
    )
    assert '<mark class="subject" title="subject">a man</mark>' in dom
    assert "missed: not among the candidates" in dom
    assert "not shown: no image file at x.jpg" in dom
    assert "3 of 5 images, 2 left out" in dom


def test_texts_from_the_data_stay_texts(page, rendered) -> None:
    dom = rendered(page, fragment="#2")

    assert "<title>owned" not in dom
    assert "<img" not in dom
    assert words(dom).count("document.title='owned'") >= 3  # dataset, predicate and caption, readable


@pytest.mark.parametrize(("keys", "shown"), [("j", "2"), ("jj", "3"), ("jk", "1"), ("k", "3"), ("→→←", "2")])
def test_keys_go_from_image_to_image(page, rendered, keys, shown) -> None:
    names = [{"→": "ArrowRight", "←": "ArrowLeft"}.get(key, key) for key in keys]
    press = "document.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));"
    press = f"for (const key of {json.dumps(names)}) {press}"

    assert f'<b id="name">image {shown}</b>' in rendered(page, press)


def test_filters_leave_the_images_and_relations_that_pass(page, rendered) -> None:
    choose = "const s = $('predicate'); s.value = 'near'; s.dispatchEvent(new Event('change'));"
    slide = "const r = $('min-score'); r.value = 0.5; r.dispatchEvent(new Event('input'));"
    hide = "document.querySelector('[data-verdict=right]').click();"

    assert "1 of 1" in rendered(page, choose)
    assert 'id="count">1 relations<' in rendered(page, slide)  # gold without a score is below it
    assert 'id="count">1 relations, 1 missed<' in rendered(page, hide)


def test_a_run_is_written_as_a_page_of_its_own(relforge, finished, rendered) -> None:
    said = relforge("view", finished, "--json")

    assert said.code == 0
    assert said.json == {
        "out": f"{finished}/view.html",
        "images": 10,
        "left_out": 0,
        "without_thumbnail": 10,
        "relations": 7,
    }
    dom = rendered(finished / "view.html", fragment="#00007")
    assert "caption of 00007" in dom
    assert not re.search(r'(src|href)="(?!data:)', dom)


def test_chosen_images_and_how_many_are_left_out(relforge, finished, tmp_path) -> None:
    said = relforge("view", finished, "--images", 3, "--out", tmp_path / "new" / "few.html")

    assert "3 of 10 images" in said.out
    assert "7 images left out" in said.out
    assert (tmp_path / "new" / "few.html").is_file()
    assert relforge("view", finished, "--image", "00007", "--json").json["images"] == 1


def test_bad_input_is_one_sentence(relforge, finished, tmp_path) -> None:
    unknown, no_run = relforge("view", finished, "--image", "nope"), relforge("view", tmp_path / "none")

    assert (unknown.code, no_run.code) == (64, 64)
    assert "--image nope: no such image" in unknown.err
    assert "is not a run folder" in no_run.err


def test_a_condition_chooses_the_images(relforge, finished, tmp_path) -> None:
    out = tmp_path / "page.html"

    said = relforge("view", finished, "--out", out, "--where", "image_id = '00007'", "--json")
    none = relforge("view", finished, "--out", out, "--where", "score > 2")
    both = relforge("view", finished, "--image", "00007", "--where", "true")

    assert said.json["images"] == 1
    assert none.code != 0
    assert "'score > 2' holds" in none.err
    assert both.code == 64
    assert "one of the two" in both.err
