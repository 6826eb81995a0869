"""`relforge report`: tables, JSON and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from relforge.demo.world.dataset import write_split
from relforge.reports.report.page import write

HOSTILE = "<img src=x>{{title}}"


def report(**changes: Any) -> dict[str, Any]:
    measures = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    row = {"predicate": HOSTILE, "gold": 4, "kept": 2, "right": 1, **measures}
    quality = {
        "gold": 4,
        "kept": {"relations": 2, **measures, "mean_average_precision": 0.2},
        "scored": {"rows": 3, "mean_average_precision": 0.3},
        "threshold": {"threshold": 0.2, **measures},
        "best": {"threshold": 0.7, **measures},
        "curve": [{"threshold": 0.9, **measures}, {"threshold": 0.1, **measures}],
        "calibration": [{"low": 0.0, "high": 1.0, "rows": 3, "score": 0.5, "precision": 0.4}],
        "expected_calibration_error": 0.1,
        "prior": {"threshold": 0.1, **measures, "mean_average_precision": 0.1},
        "greedy": {**measures, "mean_average_precision": 0.15},
        "predicates": [row | {"average_precision": 0.3, "prior_average_precision": 0.1}],
        "unknown_predicates": {HOSTILE: 1},
    }
    judged = {"name": HOSTILE, "right": 2, "removed": 1, "added": 0, "precision": 2 / 3, "recall": None}
    again = {"name": HOSTILE, "relations": 2, "both": 1, "new": 1, "both_right": None, "new_right": 0.5}
    rounds = {"first_round": HOSTILE, "model": HOSTILE, "first": 3, "missing": 2}
    step = {"stage": "match", "rows_in": 5, "kept": 4, "dropped": {"no_second_box": 1}, "quarantined": {}}
    step |= {"seconds": 7200.0, "cpu_seconds": 3600.0, "gpu_seconds": 0.0}
    return {
        "run": "r", "dataset": HOSTILE, "profile": "fixed", "complete": True, "stopped": None, "warnings": [],
        "image_labels": None,
        "agreement": {"images": 1, "total": judged, "scores": [], "predicates": [judged], "boxes": None},
        "rounds": rounds | {"total": again, "predicates": [again]},
        "coverage": {
            "classes": 2, "unknown": [{"category": HOSTILE, "boxes": 3, "named": 0}], "pairs_beyond_limit": 7,
            "nouns": [{"noun": HOSTILE, "count": 2}], "problem": None,
        },
        "proposals": [
            {"table": "relations", "said": 2, "proposed": 7, "said_right": None, "proposed_right": 0.25}
        ],
        "shown": "relations",
        "survival": {"images": 1, "relations": 2}, "steps": [step], "histogram": [0, 2, 1],
        "answered": [], "answered_rows": [],
        "reliability": {
            "bins": quality["calibration"], "expected_calibration_error": 0.1,
            "coverage": [{"coverage": 1.0, "threshold": 0.2, "precision": 0.5}],
        },
        "fates": {"unspoken": 3, "kept": 1},
        "predicates": [{"predicate": HOSTILE, "count": 2}],
        "pairs": [{"subject_class": "person", "object_class": HOSTILE, "count": 2}],
        "gold": 4, "quality": quality, **changes,
    }  # fmt: skip


def test_the_page_has_plots_and_texts_stay_texts(tmp_path: Path, rendered) -> None:
    write(report(), str(tmp_path / "report.html"))

    dom = rendered(tmp_path / "report.html")

    assert dom.count("<svg") == 8
    assert "<img" not in dom
    assert "&lt;img src=x&gt;{{title}}" in dom
    assert ">run 0.20<" in dom
    assert ">best 0.70<" in dom
    assert "greedy: every candidate" in dom
    assert "Relations that nobody said" in dom
    assert ">0.25<" in dom


def test_the_page_of_a_run_without_gold_or_scores(tmp_path: Path) -> None:
    write(
        report(gold=0, quality=None, histogram=None, complete=False, proposals=[]),
        str(tmp_path / "report.html"),
    )

    page = (tmp_path / "report.html").read_text()
    assert "labels are counted and not judged" in page
    assert "nobody said" not in page
    assert "not complete" in page


def test_a_finished_run_lists_every_loss_under_its_reason(relforge, finished) -> None:
    said = relforge("report", finished, "--json")

    assert said.code == 0
    assert said.json["survival"]["matched triplets"] == said.json["survival"]["relations"] == 7
    losses = {step["stage"]: (step["dropped"], step["quarantined"]) for step in said.json["steps"]}
    assert losses["ingest"][1] == {"zero_area_box": 3}
    assert losses["match"][0] == {"one_box": 3}
    assert said.json["quality"] is None
    assert (finished / "report.html").is_file()


def test_the_terminal_shows_the_funnel_and_where_the_page_is(relforge, finished, tmp_path) -> None:
    said = relforge("report", finished, "--out", tmp_path / "r.html")

    assert "matched triplets  7" in said.out
    assert "stage    worker hours  CPU hours  GPU hours  CPU seconds per 1,000 images" in said.out
    assert "no gold relations in this run" in said.out
    assert str(tmp_path / "r.html") in said.out


def test_a_folder_that_is_no_run_is_one_sentence(relforge, tmp_path) -> None:
    said = relforge("report", tmp_path)

    assert (said.code, "is not a run folder" in said.err) == (64, True)


def test_gold_without_labels_yet_is_not_called_absent(relforge, tmp_path: Path, rendered) -> None:
    split = write_split(tmp_path, "vg-like", 2, size=64)
    (tmp_path / "captions.json").write_text('{"1": ["a dog"]}')
    dataset = {"name": "world", "format": "visual_genome", "annotations": str(split / "scene_graphs.json")}
    values = {
        "dataset": dataset | {"split": "train"},
        "run": {"folder": str(tmp_path / "run")},
        "stages": {"caption": {"backend": "import", "files": str(tmp_path / "captions.json")}},
    }
    (tmp_path / "captions.yaml").write_text(yaml.safe_dump(values))
    assert relforge("run", tmp_path / "captions.yaml", "--executor", "loop").code == 0

    said = relforge("report", tmp_path / "run")

    assert "gold relations, and no scores and kept relations yet to compare with them" in said.out
    assert "no gold relations in this run" not in said.out
    assert "no scores and kept relations yet" in rendered(tmp_path / "run" / "report.html")
