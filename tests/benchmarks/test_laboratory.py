"""The laboratory of `benchmarks/quality.py`: wording, candidate sets, switches, and what it caches."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

from relforge.demo.world.interactions import INTERACTIONS, SPATIAL
from relforge.pipeline.config.resolve import SWITCHES
from relforge.stages.tables import SCHEMAS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch):
    """`lab("wording")` -> the module `laboratory.wording`."""
    from importlib import import_module

    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])

    def load(name: str) -> ModuleType:
        return import_module(f"laboratory.{name}")

    return load


def boxes(*rows: tuple[str, int, str]) -> pa.Table:
    place = {"x": 0.0, "y": 0.0, "w": 4.0, "h": 4.0, "iscrowd": False, "source_id": "0"}
    facts = [place | {"image_id": i, "box_id": b, "category": c} for i, b, c in rows]
    return pa.Table.from_pylist(facts, SCHEMAS["boxes"])


@pytest.mark.parametrize(
    ("lemma", "surface", "worded"),
    [
        ("ride", "rides", "riding"),
        ("watch", "watched", "looking at"),
        ("stand behind", "standing behind", "behind"),
        ("juggle", "juggles", "juggles"),
    ],
)
def test_a_predicate_gets_the_golds_wording_by_its_lemma(lab, lemma: str, surface: str, worded: str) -> None:
    triplets = pa.table({"predicate": [surface], "predicate_lemma": [lemma]})
    assert lab("wording").in_gold_words(triplets)["predicate"].to_pylist() == [worded]


def test_every_gold_predicate_can_be_reached(lab) -> None:
    gold = {*INTERACTIONS, *SPATIAL} - {"sheltering"}
    assert gold <= set(lab("wording").WORDS.values())


def test_every_predicate_for_every_ordered_pair(lab) -> None:
    found = lab("candidate_sets").every_predicate(
        {"boxes": boxes(("a", 0, "cat"), ("a", 1, "dog"), ("b", 0, "cat"))}, ["on", "under"]
    )
    rows = [(row["subject_box"], row["predicate"], row["object_box"]) for row in found.to_pylist()]
    assert rows == [(0, "on", 1), (0, "under", 1), (1, "on", 0), (1, "under", 0)]


def test_every_switch_of_compat_is_tried_alone_and_together(lab) -> None:
    cases = lab("profiles").cases()
    assert len(cases) == 2 + sum(len(options) for options in SWITCHES.values())
    assert cases["fixed"] == {}
    assert cases["match.method: substring"] == {"match": {"method": "substring"}}
    assert set(cases["compat, all of them"]) == set(SWITCHES)


def test_recall_of_candidates(lab) -> None:
    keys = ("image_id", "subject_box", "object_box", "predicate")
    gold = pa.table(dict(zip(keys, [["a", "a"], [0, 1], [1, 0], ["on", "under"]], strict=True)))
    asked = pa.table(dict(zip(keys, [["a", "b"], [0, 1], [1, 0], ["on", "under"]], strict=True)))
    assert lab("caption_sources").recall(asked, gold) == 0.5


def test_pairs_carry_the_corners_and_classes_of_their_boxes(lab) -> None:
    rows = pa.table(
        {"image_id": ["a"], "subject_box": [1], "object_box": [0], "predicate": ["on"], "score": [0.5]}
    )
    found = lab("downstream").locate(rows, boxes(("a", 0, "cat"), ("a", 1, "dog")))
    assert found.kinds() == [("dog", "on", "cat")]
    assert (found.subject_box.tolist(), found.score.tolist()) == ([[0.0, 0.0, 4.0, 4.0]], [0.5])


def test_a_long_step_runs_once_per_settings_wherever_the_work_folder_lies(lab, tmp_path: Path) -> None:
    cache = lab("cache")
    made = []

    def make() -> pa.Table:
        made.append(1)
        return pa.table({"n": [len(made)]})

    for settings in ({"size": 1}, {"size": 1}, {"size": 2}):
        cache.read_or_make(tmp_path, "step", settings, make)
    assert len(made) == 2
    names = {cache.digest({"data": f"{work}/world"}, Path(work)) for work in ("/a", "/b/c")}
    assert len(names) == 1


def test_a_row_says_mean_spread_and_seeds(lab) -> None:
    row = lab("spread").rows("with", "without", [{"mAP": 0.4}, {"mAP": 0.6}], [{"mAP": 0.25}])[0]
    assert (row["case"], row["ours"], row["theirs"]) == ("with: mAP", 0.5, 0.25)
    assert (row["ratio"], row["lowest"], row["highest"], row["seeds"]) == (2.0, 0.4, 0.6, 2)
