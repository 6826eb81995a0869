"""Polygons are cut out before parsing, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.ingest.coco_boxes import cut_polygons

LONG = [[round(k * 1.37, 2) for k in range(40)], [1.5, 2.5] * 9]


def text(value: object, compact: bool = False) -> bytes:
    return json.dumps(value, separators=(",", ":") if compact else None).encode()


@pytest.mark.parametrize("compact", [False, True])
def test_long_polygons_become_empty_lists(compact):
    records = [{"segmentation": LONG, "id": k, "note": "a"} for k in range(3)]

    found = json.loads(cut_polygons(text(records, compact)))

    assert found == [r | {"segmentation": []} for r in records]


@pytest.mark.parametrize(
    "record",
    [
        {"id": 1, "segmentation": LONG},  # the last field: what follows is not its own
        {"segmentation": {"counts": list(range(99)), "size": [4, 4]}, "id": 1},
        {"segmentation": [[1, 2]], "id": 1},
        {"note": LONG, "id": 1},
        {"note": '"segmentation": [[' + "1, " * 40 + ']], "', "id": 1},
        {"note": "segmentation", "other": LONG},
        {"segmentation": None, "id": 1},
    ],
)
def test_everything_else_stays_as_it_is(record):
    records = text([record, record])

    assert cut_polygons(records) == records


boxes = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4)
strings = st.text(alphabet='ab"[]{},: \\')
polygons = st.lists(st.lists(st.floats(0, 640).map(lambda v: round(v, 2)), max_size=20), max_size=3)
nested = st.lists(strings, max_size=3) | st.lists(polygons, max_size=2)
keys = st.sampled_from(["segmentation", "bbox", "id", "segmentation2"])
record = st.dictionaries(keys, st.one_of(strings, boxes, polygons, st.none(), nested), max_size=4)
records = st.lists(record, max_size=4)


@settings(max_examples=80, deadline=None)
@given(records, st.booleans())
def test_the_other_fields_are_never_touched(records, compact):
    array = text(records, compact)

    cut = cut_polygons(array)

    try:
        found = json.loads(cut)
    except ValueError:
        return  # the caller parses the original then
    without = [{k: v for k, v in r.items() if k != "segmentation"} for r in records]
    assert [{k: v for k, v in r.items() if k != "segmentation"} for r in found] == without
