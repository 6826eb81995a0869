"""`relforge view DETECTIONS annotations=FILE`: the best detections beside the annotated pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.demo.world.dataset import write_split
from relforge.evaluation.detection_table import write_detections
from relforge.evaluation.hico import HicoEvaluator
from relforge.evaluation.pairs import join


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("world"), "hoi", 24, size=64, look_alikes=0.0)


@pytest.fixture
def options(world: Path, tmp_path: Path) -> list[str]:
    """The gold but its first pair, twice, and once with the objects' boxes moved away."""
    gold = HicoEvaluator(str(world / "hico" / "test_hico.json")).read_gold("").pairs
    kept, moved = gold.take(np.arange(1, len(gold))), gold.take(np.arange(1, len(gold)))
    moved.object_box[:] += 500
    moved.score[:] = 0.5
    again = kept.take(np.arange(len(kept)))
    again.score[:] = 0.75
    write_detections(join([kept, moved, again]), tmp_path / "found.parquet")
    files = [f"annotations={world / 'hico' / 'test_hico.json'}", f"images={world / 'images'}"]
    return [str(tmp_path / "found.parquet"), *files]


def test_detections_are_right_wrong_or_missed_on_their_pixels(options: list[str], relforge: Any) -> None:
    found = relforge("view", *options, "--json").json
    gold = relforge("eval", "hico", *options, "--json").json["counts"]["gold"]
    assert found["images"] == 6
    assert (found["right"], found["wrong"], found["missed"]) == (gold - 1, 2 * (gold - 1), 1)
    assert found["without_thumbnail"] == 0
    assert found["out"] == f"{options[0]}.view.html"


def test_a_browser_shows_them(options: list[str], relforge: Any, rendered: Any) -> None:
    said = relforge("view", *options, "--image", "000004")
    assert said.code == 0, said.err
    dom = rendered(Path(options[0] + ".view.html"))
    assert "test_hico.json" in dom
    assert "✓" in dom
    assert 'class="arrow wrong' in dom


def test_without_images_the_boxes_are_shown_on_empty_frames(options: list[str], relforge: Any) -> None:
    found = relforge("view", *options[:2], "--json").json
    assert found["without_thumbnail"] == found["images"] == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--image", "7"], "--image 7: no such image in"),
        (["--where", "score < 1"], "--where chooses images of a run by its rows"),
        (["side=3"], "relforge view: side: unknown key 'side'"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    options: list[str], relforge: Any, given: list[str], message: str
) -> None:
    said = relforge("view", *options, *given)
    assert (said.code, message in said.err) == (64, True), said.err
