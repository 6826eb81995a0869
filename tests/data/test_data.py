"""Training data: run folders to arrays, caps, batches that depend on the step alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from relforge.data import sources
from relforge.data.batches import Batches, BatchOptions
from relforge.data.label_lists import ClosedLabels
from relforge.data.relation_tables import from_tables
from relforge.data.relations import RelationData, concatenate
from relforge.data.transforms import mirror_predicate
from relforge.stages.tables import SCHEMAS


def tables(
    facts: list[tuple[str, int, str, int, float]], boxes: int = 3
) -> tuple[pa.Table, pa.Table, pa.Table]:
    ids = sorted({fact[0] for fact in facts} | {"empty"})
    blank = dict.fromkeys(SCHEMAS["images"].names) | {"dataset": "d", "split": "s", "width": 10, "height": 20}
    images = pa.Table.from_pylist([blank | {"image_id": i} for i in ids], SCHEMAS["images"])
    box = {"x": 1.0, "y": 2.0, "w": 4.0, "h": 8.0, "iscrowd": False, "source_id": "0"}
    rows = [box | {"image_id": i, "box_id": b, "category": f"c{b}"} for i in ids for b in range(boxes)]
    relations = {
        name: [f[k] for f in facts]
        for k, name in enumerate(("image_id", "subject_box", "predicate", "object_box", "score"))
    }
    return images, pa.Table.from_pylist(rows, SCHEMAS["boxes"]), pa.table(relations)


def facts_of(data: RelationData, index: int) -> set[tuple[int, str, int]]:
    example = data[index]
    return {
        (int(s), data.predicates[code], int(o))
        for (s, o), row in zip(example.pairs, example.predicates, strict=True)
        for code in row
    }


def test_pairs_merge_their_predicates_and_images_without_relations_go() -> None:
    data = from_tables(
        *tables(
            [("a", 0, "on", 1, 0.9), ("a", 0, "in", 1, 0.8), ("a", 2, "on", 0, 0.7), ("a", 0, "on", 1, 0.5)]
        )
    )
    assert len(data) == 1
    assert data[0].pairs.tolist() == [[0, 1], [2, 0]]
    assert facts_of(data, 0) == {(0, "on", 1), (0, "in", 1), (2, "on", 0)}
    assert len(from_tables(*tables([("a", 0, "on", 1, 0.9)]), keep_empty=True)) == 2


def test_the_cap_keeps_the_best_or_as_published_the_first() -> None:
    rows = [("a", 0, "p0", 1, 0.1), ("a", 0, "p0", 1, 0.2), ("a", 0, "p1", 1, 0.9), ("a", 0, "p2", 1, 0.8)]
    assert facts_of(from_tables(*tables(rows), max_pairs=2), 0) == {(0, "p1", 1), (0, "p2", 1)}
    # the published loader counts duplicates towards the cap
    assert facts_of(from_tables(*tables(rows), max_pairs=3, first_rows=True), 0) == {
        (0, "p0", 1),
        (0, "p1", 1),
    }


def test_data_sets_join_with_names_merged() -> None:
    one = from_tables(*tables([("a", 0, "on", 1, 1.0)]))
    two = from_tables(*tables([("b", 1, "under", 2, 1.0), ("b", 0, "on", 2, 1.0)]))
    both = concatenate([one, two])
    assert both.predicates == ["on", "under"]
    assert [facts_of(both, i) for i in range(2)] == [{(0, "on", 1)}, {(1, "under", 2), (0, "on", 2)}]
    assert both.predicate_counts().tolist() == [2, 1]


def test_a_relation_without_its_box_is_named() -> None:
    with pytest.raises(ValueError, match="image a: object_box 9"):
        from_tables(*tables([("a", 0, "on", 9, 1.0)]))


def test_left_and_right_change_places_in_the_mirror() -> None:
    assert mirror_predicate("to the left of") == "to the right of"
    assert mirror_predicate("holding") == "holding"


@pytest.fixture
def batches(run_folder: Path) -> Batches:
    data = sources.load_relations([{"run": str(run_folder), "relations": "gold"}], max_pairs=16)
    options = BatchOptions(size=2, short_sides=(48, 64), long_side=80, max_pairs=16, unrelated_pairs=3)
    return Batches(data, options, seed=5)


def test_a_batch_depends_on_its_step_alone(batches: Batches) -> None:
    walked = batches.from_step(1)
    next(walked)
    second = next(walked)
    again = batches.at(2)
    assert torch.equal(second.images, again.images)
    assert second.labels.texts == again.labels.texts
    assert (
        not torch.equal(second.images, batches.at(3).images)
        or second.labels.texts != batches.at(3).labels.texts
    )


def test_targets_are_normalised_boxes_and_multi_hot_relations(batches: Batches) -> None:
    batch = batches.at(0)
    for target in batch.targets:
        assert ((target.subject_boxes >= 0) & (target.subject_boxes <= 1)).all()
        assert int(target.subject_labels.min()) >= 0
        assert target.relations.shape == (len(target), len(batch.labels.relations))
        positives = target.relations.sum(1)
        assert (positives > 0).any()
        assert int((positives == 0).sum()) <= 3  # the unrelated pairs


def test_an_epoch_shows_every_image_once_across_processes(run_folder: Path) -> None:
    data = sources.load_relations([{"run": str(run_folder), "relations": "gold"}], max_pairs=16)
    options = BatchOptions(size=2, short_sides=(32,), mirror=0.0, long_side=64)
    boxes = []
    for rank in range(2):
        part = Batches(data, options, seed=1, rank=rank, world_size=2)
        for step in range(part.steps_per_epoch):
            boxes += [tuple(t.subject_boxes.flatten().tolist()) for t in part.at(step).targets]
    assert len(boxes) == len(set(boxes)) == 4 * (len(data) // 4)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"folder": "x"}, "needs `run` or `format`"),
        ({"run": "/nowhere"}, "no shards of table"),
        ({"run": "x", "relation": "gold"}, "unknown option relation"),
        ("x", "give a list of entries"),
    ],
)
def test_bad_data_entries_are_named(entry: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sources.load_relations([entry])


def test_closed_labels_are_those_of_every_batch(run_folder: Path) -> None:
    data = sources.load_relations([{"run": str(run_folder), "relations": "gold"}], max_pairs=16)
    options = BatchOptions(size=2, short_sides=(32,), long_side=64)
    batches = Batches(data, options, seed=1, labels=ClosedLabels(data))
    for batch in (batches.at(0), batches.at(1)):
        assert batch.labels.relations == data.predicates
        for targets, whole in zip(batch.targets, batch.image_targets, strict=True):
            assert targets.relations.shape[1] == len(data.predicates)
            assert whole.relations.tolist() == targets.relations.amax(0).tolist()


@pytest.mark.parametrize("parts", [None, [], "x", {"run": "x"}, 3])
def test_data_that_are_no_list_of_entries_are_one_sentence(parts: Any) -> None:
    with pytest.raises(ValueError, match="data: give a list of entries with `run` or `format`, found"):
        sources.load_relations(parts)
