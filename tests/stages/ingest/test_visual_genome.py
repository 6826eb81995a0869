"""Scene-graph files: Visual Genome's own, and RLIPv2's in the same layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.contract import SourceError
from relforge.stages.registry import build_source
from relforge.stages.tables import conform

CAT = {"object_id": 1, "x": 10, "y": 20, "w": 50, "h": 40, "names": ["Cat", "kitty"], "synsets": []}
TABLE = {"object_id": 2, "x": 0, "y": 60, "w": 90, "h": 30, "names": "table"}
ON = {"relationship_id": 7, "predicate": "ON", "subject_id": 1, "object_id": 2, "synsets": []}


def scene(*objects, relationships=(ON,), **fields):
    size = {"width": 100, "height": 100}
    return {"image_id": 5, "objects": objects, "relationships": relationships} | size | fields


def shards(tmp_path: Path, records: object, format: str = "visual_genome", shard_images: int = 10, **options):
    """All shards, after checking that every record is accounted for and every table fits its schema."""
    path = tmp_path / "scene_graphs.json"
    path.write_text(json.dumps(records))
    found = list(build_source(format, annotations=str(path), **options).shards(shard_images))
    for shard in found:
        assert set(shard.tables) == {"images", "boxes", "gold", "classes"}
        assert shard.notes["rows_in"] == shard.kept + sum(shard.dropped.values()) + len(shard.quarantined)
        for name, table in shard.tables.items():
            assert conform(name, table) == table
    return found


def test_relations_become_gold_with_names_and_predicates_in_lower_case(tmp_path):
    [shard] = shards(tmp_path, [scene(CAT, TABLE)], images="vg")

    assert shard.tables["gold"].to_pylist() == [
        {"image_id": "5", "subject_box": 0, "object_box": 1, "predicate": "on"}
    ]
    assert shard.tables["boxes"]["category"].to_pylist() == ["cat", "table"]
    assert shard.tables["images"]["uri"].to_pylist() == ["vg/5.jpg"]


@pytest.mark.parametrize(
    ("objects", "relation", "reason"),
    [
        ((CAT, TABLE | {"w": 0}), {}, {"zero_area_box": 1, "box_set_aside": 1}),
        ((CAT, TABLE | {"x": None}), {}, {"malformed_annotation": 1, "unknown_object": 1}),
        ((CAT, TABLE, TABLE), {}, {"duplicate_annotation_id": 1}),
        ((CAT, TABLE), {"object_id": 9}, {"unknown_object": 1}),
        ((CAT, TABLE), {"object_id": 1}, {"self_relation": 1}),
        ((CAT, TABLE), {"predicate": " "}, {"malformed_relation": 1}),
        ((CAT, TABLE), {"confidence": "high"}, {"malformed_relation": 1}),
    ],
)
def test_what_cannot_be_used_is_accounted_for_by_reason(tmp_path, objects, relation, reason):
    [shard] = shards(tmp_path, [scene(*objects, relationships=[ON | relation])])

    found = dict(shard.dropped)
    for quarantined in shard.quarantined:
        found[quarantined.reason] = found.get(quarantined.reason, 0) + 1
    assert found == reason


def test_a_repeated_relation_is_kept_once_with_its_highest_confidence(tmp_path):
    twice = [ON | {"confidence": 0.2}, ON | {"confidence": 0.7}]
    (tmp_path / "a.json").write_text(json.dumps([scene(CAT, TABLE, relationships=twice)]))
    source: Any = build_source("rlipv2", annotations=str(tmp_path / "a.json"))

    [shard] = source.shards(10, relations=True)

    assert shard.dropped == {"repeated_relation": 1}
    assert shard.tables["relations"]["score"].to_pylist() == [pytest.approx(0.7)]


def test_relations_are_numbered_in_each_image_by_those_that_are_kept(tmp_path):
    relations = [ON | {"object_id": 9}, ON, ON | {"predicate": "near"}]
    records = [scene(CAT, TABLE, image_id=k, relationships=relations) for k in (1, 2)]
    (tmp_path / "a.json").write_text(json.dumps(records))

    [shard] = build_source("rlipv2", annotations=str(tmp_path / "a.json")).shards(10, relations=True)

    found = shard.tables["relations"].sort_by("position").select(["position", "predicate"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [(0, "ON"), (0, "ON"), (1, "near"), (1, "near")]


@pytest.mark.parametrize("value", [{"predicate": "\ud800"}, {"confidence": 2**80}, {"predicate": ["on"]}])
def test_a_relation_with_a_value_that_no_table_can_hold_is_set_aside(tmp_path, value):
    [shard] = shards(tmp_path, [scene(CAT, TABLE, relationships=[ON | value])])

    assert [q.reason for q in shard.quarantined] == ["malformed_relation"]


@pytest.mark.parametrize(
    "size", [{"width": "wide"}, {"width": True}, {"height": float("nan")}, {"width": 2**40}]
)
def test_a_size_that_is_no_number_of_pixels_is_bad(tmp_path, size):
    [shard] = shards(tmp_path, [scene(CAT) | size])

    assert [q.reason for q in shard.quarantined] == ["bad_image_size"]


def test_sizes_come_from_image_data(tmp_path):
    sizes = tmp_path / "image_data.json"
    sizes.write_text(json.dumps([{"image_id": 5, "width": 640, "height": 480, "url": "u"}]))
    record = scene(CAT, TABLE)
    del record["width"], record["height"]

    [shard] = shards(tmp_path, [record, record | {"image_id": 6}], image_data=str(sizes))

    assert shard.tables["images"].select(["image_id", "width", "height"]).to_pylist() == [
        {"image_id": "5", "width": 640, "height": 480}
    ]
    assert [q.reason for q in shard.quarantined] == ["bad_image_size"]
    with pytest.raises(SourceError, match="set image_data"):
        shards(tmp_path, [record])


def test_a_published_rlipv2_row_is_read_with_dataset_split_and_the_extent_of_its_boxes(tmp_path):
    record = {"image_id": 139, "dataset": "coco2017", "data_split": "val2017", "objects": [CAT, TABLE]}

    [shard] = shards(tmp_path, [record | {"relationships": [ON | {"confidence": 0.31}]}], "rlipv2")

    [row] = shard.tables["images"].to_pylist()
    assert (row["dataset"], row["split"], row["width"], row["height"]) == ("coco2017", "val2017", 90, 90)
    assert shard.tables["gold"]["predicate"].to_pylist() == ["ON"]


def test_of_two_records_of_one_image_the_first_is_used(tmp_path):
    first, second = shards(tmp_path, [scene(CAT, TABLE), scene(CAT, TABLE)], shard_images=1)

    assert first.kept == 4
    assert [q.reason for q in second.quarantined] == ["duplicate_image_id"]
    assert second.dropped == {"image_set_aside": 3}


def test_a_coco_file_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(SourceError, match="expected a JSON list of images"):
        shards(tmp_path, {"images": []})


junk: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([])
)
fields = ["object_id", "subject_id", "names", "x", "y", "w", "h", "predicate", "confidence", "box_id"]
noisy = st.dictionaries(st.sampled_from(fields), junk, max_size=3)
near = (st.builds(lambda noise, record=record: record | noise, noisy) for record in (CAT, TABLE, ON))
noise = st.lists(st.one_of(junk, *near), max_size=4)
heads = st.dictionaries(st.sampled_from(["width", "height", "image_id", "objects"]), junk, max_size=1)


@settings(max_examples=60, deadline=None)
@given(noise, noise, heads)
def test_whatever_the_records_hold_each_is_accounted_for_once(tmp_path_factory, objects, relations, head):
    record = scene(*objects, relationships=relations) | head

    [shard] = shards(tmp_path_factory.mktemp("fuzz"), [record], size_from_boxes=True)

    parts = [v if isinstance(v, list | tuple) else [v] for v in (record["objects"], relations)]
    assert shard.notes["rows_in"] == 1 + len(parts[0]) + len(parts[1])
