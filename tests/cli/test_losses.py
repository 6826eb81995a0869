"""What a run reports when much of its input is lost, and when its result is empty."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.given_captions import stages_of

BOXES = (("person", [20, 20, 80, 120]), ("horse", [60, 100, 160, 90]))
CLASSES = ["person", "horse"]
RIDING = "a man riding a horse"


def write_instances(path: Path, ids: Sequence[int], boxes: Sequence[tuple[str, list[int]]] = BOXES) -> str:
    """A COCO file: every image has the same boxes."""
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 320, "height": 240} for i in ids]
    annotations = [
        {"id": 100 * i + k, "image_id": i, "category_id": CLASSES.index(name) + 1, "bbox": xywh}
        for i in ids
        for k, (name, xywh) in enumerate(boxes)
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES, 1)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return str(path)


@pytest.fixture
def job(tmp_path: Path, relforge) -> Callable[..., Any]:
    """`job(captions={...}, **dataset)` runs the whole pipeline and gives the output."""

    def run(*overrides: str, captions: dict[str, list[str]] | None = None, **dataset: Any):
        (tmp_path / "captions.json").write_text(json.dumps(captions or {}))
        values = {
            "dataset": {"name": "toy", "split": "all", "format": "coco", **dataset},
            "run": {"folder": str(tmp_path / "run"), "shard_images": 4},
            "stages": stages_of(tmp_path / "captions.json"),
        }
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(values))
        return relforge("run", tmp_path / "job.yaml", "--executor", "loop", *overrides)

    return run


def captioned(ids: Sequence[int], *texts: str) -> dict[str, list[str]]:
    return {str(i): list(texts) for i in ids}


# --- limits of losses


def test_images_that_are_all_missing_stop_the_run(job, relforge, tmp_path) -> None:
    annotations = write_instances(tmp_path / "a.json", range(30), BOXES * 12)

    missing = {"annotations": annotations, "images": str(tmp_path), "require_images": True}
    said = job(captions=captioned(range(30), RIDING), **missing)

    assert said.code == 3
    assert "stage 'ingest' lost 30 of 30 images (100.0%), the limit is 5.0%" in said.out
    assert "the commonest reason is missing_file (30), e.g. " in said.out
    assert f"{tmp_path}/0.jpg" in said.out
    assert "raise run.lost_images_limit" in said.out

    status = relforge("status", tmp_path / "run")
    assert status.code == 3
    assert "failed: stage 'ingest' lost 30 of 30 images" in status.out
    assert relforge("status", tmp_path / "run", "--json").json["stopped"].startswith("stage 'ingest' lost")
    again = job(captions=captioned(range(30), RIDING), **missing)
    assert (again.code, "lost 30 of 30 images" in again.out) == (3, True)


def test_a_lost_image_takes_its_boxes_along(job, tmp_path) -> None:
    write_instances(tmp_path / "crowded.json", [1], BOXES * 12)
    write_instances(tmp_path / "plain.json", range(1, 40))  # 1 comes again, with two boxes of 78
    files = {"train": str(tmp_path / "plain.json"), "val": str(tmp_path / "crowded.json")}

    said = job(captions=captioned(range(40), RIDING), annotations=files)

    assert said.code == 3
    assert "lost 24 of 102 boxes (23.5%), the limit is 5.0%" in said.out
    assert "the commonest reason is duplicate_image_id (24), e.g. image 1 (1.jpg)" in said.out
    assert "raise run.lost_boxes_limit" in said.out


def test_a_second_split_whose_ids_restart_stops_the_run_until_the_limits_allow_it(job, tmp_path) -> None:
    write_instances(tmp_path / "train.json", range(1, 41))
    write_instances(tmp_path / "val.json", range(1, 11))
    files = {"train": str(tmp_path / "train.json"), "val": str(tmp_path / "val.json")}
    given = {"captions": captioned(range(1, 41), RIDING), "annotations": files}

    stopped = job(**given)
    images_alone = job("run.lost_images_limit=0.2", **given)
    allowed = job("run.lost_images_limit=0.2", "run.lost_boxes_limit=0.2", **given)

    assert stopped.code == images_alone.code == 3
    assert "lost 10 of 50 images (20.0%)" in stopped.out
    assert "the commonest reason is duplicate_image_id (10)" in stopped.out
    assert "lost 20 of 100 boxes (20.0%)" in images_alone.out
    assert allowed.code == 0


def test_the_quarantine_limit_is_the_limit_of_kinds_that_have_none(job, tmp_path) -> None:
    boxes = [*BOXES, ("horse", [0, 0, 0, 5])]
    annotations = write_instances(tmp_path / "a.json", range(1, 5), boxes)
    given = {"captions": captioned(range(1, 5), RIDING), "annotations": annotations}

    assert "lost 4 of 12 boxes (33.3%), the limit is 5.0%" in job(**given).out
    assert job("run.quarantine_limit=0.4", **given).code == 0
    assert job("run.quarantine_limit=0.4", "run.lost_boxes_limit=0.3", **given).code == 3


def test_captions_without_text_are_lost_captions(job, tmp_path) -> None:
    captions = captioned(range(1, 5), RIDING, " ")

    said = job(captions=captions, annotations=write_instances(tmp_path / "a.json", range(1, 5)))

    assert said.code == 3
    assert "stage 'caption' lost 4 of 8 captions (50.0%)" in said.out
    assert "raise run.lost_captions_limit" in said.out


def test_losses_below_the_limits_complete_without_a_warning(job, relforge, tmp_path) -> None:
    annotations = write_instances(tmp_path / "a.json", range(1, 5))

    said = job("--json", captions=captioned(range(1, 5), RIDING), annotations=annotations)

    assert (said.code, said.json["warnings"]) == (0, [])
    status = relforge("status", tmp_path / "run", "--json")
    assert (status.code, status.json["stopped"], status.json["warnings"]) == (0, None, [])


# --- empty results

NO_IMAGE = "stage 'ingest' found no images in the source; check the dataset's files and options"
NO_BOX = "stage 'ingest' found no boxes in the source; check the dataset's files and options"
NO_CAPTION = (
    "stage 'caption' gave no captions from 4 images; the commonest reason is no_caption (4); "
    "check that the caption files name these images, by id or file name"
)
NO_RELATION = "stage 'parse' gave no triplets from 4 captions; the commonest reason is without_relation (4)"
NO_CLASS = (
    "stage 'match' gave no candidates from 4 triplets; the commonest reason is neither_names_a_class (4); "
    "give more synonyms for the dataset's classes in stages.match.synonyms"
)
NONE_KEPT = (
    "stage 'select' gave no relations from 4 scores; the commonest reason is below_threshold (4); "
    "lower stages.select.threshold"
)
IMAGES = range(1, 5)
EMPTY: dict[str, tuple[str, Sequence[int], Sequence[Any], dict[str, list[str]], list[str]]] = {
    "no image": (NO_IMAGE, [], BOXES, captioned(IMAGES, RIDING), []),
    "no box": (NO_BOX, IMAGES, [], captioned(IMAGES, RIDING), []),
    "captions of other images": (NO_CAPTION, IMAGES, BOXES, captioned([7], RIDING), []),
    "captions without relations": (NO_RELATION, IMAGES, BOXES, captioned(IMAGES, "a horse"), []),
    "captions of no class": (NO_CLASS, IMAGES, BOXES, captioned(IMAGES, "a lamp on a rug"), []),
    "a threshold that nothing reaches": (
        NONE_KEPT, IMAGES, BOXES, captioned(IMAGES, RIDING),
        ["stages.tag.backend=half_tagger:Half", "stages.select.threshold=0.9"],
    ),
}  # fmt: skip


@pytest.fixture
def half(tmp_path: Path, monkeypatch) -> None:
    """The rule's tagger, with every score halved."""
    (tmp_path / "half_tagger.py").write_text(
        "import pyarrow.compute as pc\n"
        "from relforge.stages.registry import build\n"
        "class Half:\n"
        "    def __init__(self):\n"
        "        self.rule = build('tag', 'rule')\n"
        "        self.name, self.version = 'tag', 1\n"
        "        self.inputs, self.outputs = self.rule.inputs, self.rule.outputs\n"
        "    def files(self): return self.rule.files()\n"
        "    def setup(self): self.rule.setup()\n"
        "    def process(self, tables):\n"
        "        result = self.rule.process(tables)\n"
        "        scores = result.tables['scores']\n"
        "        at = scores.column_names.index('score')\n"
        "        half = pc.multiply(scores['score'], 0.5).cast('float')\n"
        "        result.tables['scores'] = scores.set_column(at, scores.schema.field('score'), half)\n"
        "        return result\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("case", EMPTY)
def test_an_empty_result_completes_with_a_warning_that_names_the_cause(
    job, relforge, tmp_path, half, case
) -> None:
    cause, ids, boxes, captions, overrides = EMPTY[case]
    annotations = write_instances(tmp_path / "a.json", ids, boxes)
    warning = f"the result is empty: {cause}"

    said = job(*overrides, captions=captions, annotations=annotations)

    assert said.code == 0
    assert f"warning: {warning}\n" in said.out, said.out
    assert job(*overrides, "--json", captions=captions, annotations=annotations).json["warnings"] == [warning]
    run = tmp_path / "run"
    assert f"warning: {warning}\n" in relforge("status", run).out
    assert relforge("status", run, "--json").json["warnings"] == [warning]
    assert f"warning: {warning}\n" in relforge("report", run).out
    assert relforge("report", run, "--json").json["warnings"] == [warning]
    assert '<p class="warning">the result is empty: stage' in (run / "report.html").read_text()

    refused = job(*overrides, "run.on_empty=fail", captions=captions, annotations=annotations)
    assert refused.code == 3
    assert f"{warning}; run.on_empty is fail" in refused.out
    assert relforge("status", run).code == 3


def test_captions_of_a_part_of_the_images_are_a_warning(job, tmp_path) -> None:
    annotations = write_instances(tmp_path / "a.json", IMAGES)

    said = job("--json", captions=captioned([1, 2], RIDING), annotations=annotations)

    assert said.code == 0
    [warning] = said.json["warnings"]
    assert warning.startswith("stage 'caption' found no caption for 2 of 4 images (50.0%)")


def test_on_empty_is_one_of_two_words(job, tmp_path) -> None:
    said = job("run.on_empty=maybe", annotations=write_instances(tmp_path / "a.json", IMAGES))

    assert said.code == 64
    assert "run.on_empty" in said.err


# --- verbs on a run without a result


@pytest.mark.parametrize(
    "to", ["rlipv2", "vg", "coco", "hico", "open-images", "label-studio", "parquet", "vg150"]
)
def test_an_export_without_relations_says_so(job, relforge, tmp_path, to) -> None:
    job(captions={}, annotations=write_instances(tmp_path / "a.json", range(1)))

    said = relforge("export", tmp_path / "run", "--to", to)

    assert said.code == 0, said.err
    assert f"warning: the export has no relation: {tmp_path / 'run'} has none to write" in said.out
    (warning,) = relforge("export", tmp_path / "run", "--to", to, "--json").json["warnings"]
    assert "see `relforge status" in warning


def test_two_empty_runs_are_compared(job, relforge, tmp_path) -> None:
    job(captions={}, annotations=write_instances(tmp_path / "a.json", range(1)))

    said = relforge("diff", tmp_path / "run", tmp_path / "run", "--json")

    assert said.code == 0, said.err
    assert set(said.json["relations"].values()) == {0}
