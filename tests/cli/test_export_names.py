"""Names and numbers of the source that an export keeps, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.given_captions import stages_of

CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "human"},
    {"id": 2, "name": "horse", "supercategory": "animal"},
    {"id": 7, "name": "unicorn", "supercategory": "animal"},
]
FILES = ("cam1/0001.jpg", "cam2/0001.jpg")


@pytest.fixture
def run_of(tmp_path: Path, relforge):
    """`run_of("a", [1, 2])` runs two images whose boxes have these categories, in that order."""

    def run(name: str, categories: list[int]) -> Path:
        boxes = dict(zip(categories, ([20, 20, 80, 120], [60, 100, 160, 90]), strict=True))
        annotations = [
            {"id": 10 * i + k, "image_id": i, "category_id": category, "bbox": boxes[category]}
            for i in (1, 2)
            for k, category in enumerate(categories)
        ]
        images = [{"id": i, "file_name": FILES[i - 1], "width": 320, "height": 240} for i in (1, 2)]
        document = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        captions = {str(i): ["a man riding a horse"] for i in (1, 2)}
        (tmp_path / "captions.json").write_text(json.dumps(captions))
        values: dict[str, Any] = {
            "dataset": {"name": "toy", "split": name, "format": "coco", "images": "pics"},
            "run": {"folder": str(tmp_path / name), "shard_images": 1},
            "stages": stages_of(tmp_path / "captions.json"),
        }
        values["dataset"]["annotations"] = str(tmp_path / f"{name}.json")
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))
        assert relforge("run", tmp_path / f"{name}.yaml", "--executor", "loop").code == 0
        return tmp_path / name

    return run


@pytest.mark.parametrize(
    ("to", "options"),
    [("coco", []), ("hico", []), ("rlipv2", ["file_names=true"]), ("vg", ["file_names=true"])],
)
def test_folders_of_the_file_name_are_kept(run_of, relforge, tmp_path, to, options) -> None:
    out = tmp_path / "out.json"

    assert relforge("export", run_of("a", [1, 2]), "--to", to, *options, "--out", out).code == 0

    written = json.loads(out.read_text())
    images = written["images"] if to == "coco" else written
    assert [image["file_name"] for image in images] == list(FILES)


def test_two_splits_have_the_sources_categories_whatever_their_boxes(run_of, relforge, tmp_path) -> None:
    written = {}
    for name, order in (("a", [1, 2]), ("b", [2, 1])):
        relforge("export", run_of(name, order), "--to", "coco", "--out", tmp_path / f"{name}.out")
        written[name] = json.loads((tmp_path / f"{name}.out").read_text())

    assert written["a"]["categories"] == written["b"]["categories"] == CATEGORIES
    assert [box["category_id"] for box in written["a"]["annotations"]] == [1, 2, 1, 2]
    assert [box["category_id"] for box in written["b"]["annotations"]] == [2, 1, 2, 1]


def test_two_exports_of_a_run_are_the_same_bytes(run_of, relforge, tmp_path) -> None:
    run = run_of("a", [1, 2])
    for to in ("coco", "hico", "label-studio", "open-images", "parquet", "rlipv2", "vg", "vg150"):
        content = []
        for number in (1, 2):
            out = tmp_path / f"{to}-{number}"
            assert relforge("export", run, "--to", to, "--out", out).code == 0
            files = sorted(out.iterdir()) if out.is_dir() else [out]
            content.append([file.read_bytes() for file in files])
        assert content[0] == content[1], to
