"""Records read as columns are what the careful reader makes of them, or are left to it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.ingest.coco import _box_records, _decode_each
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.uniform import _without_polygons, uniform_columns


def record(identity: int = 1, **fields: object) -> dict[str, object]:
    polygon = [[round(k * 1.37, 2) for k in range(12)]]
    kept = {"area": 2.5, "iscrowd": identity % 2, "image_id": 7, "bbox": [1.5, 2, 30, 4.25]}
    return {"segmentation": polygon} | kept | {"category_id": 3, "id": identity} | fields


def agree(array: bytes) -> bool:
    """Whether the columns were read at all; if so, they equal the careful reader's records."""
    columns = uniform_columns(array)
    if columns is None:
        return False
    fast = _box_records(columns, Ids(), 0)
    careful = _box_records(_decode_each(array), Ids(), 0)
    assert fast.tobytes() == careful.tobytes()
    return True


@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"bbox": [-1.5, 0, 1, 0.25]},
        {"image_id": -4},
        {"isfake": 0},
        {"segmentation": []},
        {"segmentation": [[1, 2], [3, 4]]},
        {"segmentation": {"counts": [3, 4, 5], "size": [4, 3]}},
    ],
)
def test_records_that_are_alike_are_read_as_columns(form, fields):
    assert agree(json.dumps([record(k, **fields) for k in range(3)], **form).encode())


def test_polygons_and_masks_may_be_mixed_and_stand_anywhere():
    first = {"id": 1, "segmentation": [[1, 2]], "image_id": 2, "category_id": 3, "bbox": [1, 2, 3, 4]}
    second = first | {"segmentation": {"counts": [1], "size": [1, 1]}}

    assert agree(json.dumps([first, second, first]).encode())


@pytest.mark.parametrize(
    "odd",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, float("nan")]},
        {"bbox": [1e-7, 2, 3, 4]},
        {"bbox": [1, 2, 3, 10**400]},
        {"bbox": [1, 2, 3, "4"]},
        {"bbox": 5},
        {"id": None},
        {"id": "5"},
        {"id": 1.5},
        {"id": 2**63},
        {"iscrowd": True},
        {"box_id": 4},
        {"source_id": "a"},
        {"note": "text"},
        {"segmentation": {"counts": "abc}", "size": [4, 3]}},
        {"segmentation": [[1, 2], "a"]},
    ],
)
def test_a_record_that_differs_leaves_its_window_to_the_careful_reader(odd):
    assert not agree(json.dumps([record(1), record(2, **odd), record(3)]).encode())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'"id": 2', b'"id2": 2'),
        (b'"id": 2', b'"i2d": 2'),
        (b'"id": 2', b'"id": 02'),
        (b'"id": 2', b'"id": '),
        (b'"id": 2', b'"id": 2, "id": 5'),
        (b"[1.5, 2, 30", b"[1., 2, 30"),
        (b"[1.5, 2, 30", b"[.5, 2, 30"),
        (b"[1.5, 2, 30", b"[1.5, 2 30"),
        (b"[1.5, 2, 30", b"[--1, 2, 30"),
        (b"}, {", b"}  {"),
        (b"}, {", b"}, , {"),
        (b"]], ", b"]]] "),
        (b'"image_id"', b'"image\\u005fid"'),
    ],
)
@pytest.mark.parametrize("where", [1, -1])
def test_text_that_is_not_json_is_left_to_the_careful_reader(right, wrong, where):
    array = json.dumps([record(2), record(2), record(2)]).encode()
    parts = array.split(right)
    damaged = right.join(parts[:where]) + wrong + right.join(parts[where:])

    assert not agree(damaged)


numbers = st.integers(-9, 2**63 - 1) | st.floats(-1e6, 1e6).map(lambda v: round(v, 3)) | st.none()
boxes = st.lists(
    st.integers(-5, 700) | st.floats(-1e6, 1e6).map(lambda v: round(v, 2)), min_size=4, max_size=4
)
polygons = st.lists(st.lists(st.floats(0, 640).map(lambda v: round(v, 2)), max_size=9), max_size=3)
ids = st.integers(0, 2**63 - 1) | st.integers(-3, 9)
records = st.lists(
    st.builds(record, ids, bbox=boxes, image_id=ids, category_id=ids, area=numbers, segmentation=polygons),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(records, st.sampled_from([None, (",", ":")]), st.data())
def test_whatever_byte_is_changed_both_readers_see_the_same(found, separators, data):
    original = json.dumps(found, separators=separators).encode()
    array = bytearray(original)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(array) - 1))
        array[at] = data.draw(st.sampled_from(b'0123456789.-,:[]{}" \\ae\n'))
    try:
        wanted = _box_records(_decode_each(bytes(array)), Ids(), 0).tobytes()
    except ValueError:
        wanted = None

    columns = uniform_columns(bytes(array))

    if columns is not None and wanted is None:  # the numbers of polygons are not looked at
        assert _without_polygons(bytes(array)) == _without_polygons(original)
    elif columns is not None:
        assert _box_records(columns, Ids(), 0).tobytes() == wanted


def test_columns_are_of_the_documented_types():
    columns = uniform_columns(json.dumps([record(k) for k in range(3)]).encode())

    assert columns is not None
    assert {name: (c.dtype, c.shape) for name, c in columns.items()} == {
        "id": (np.int64, (3,)),
        "image_id": (np.int64, (3,)),
        "category_id": (np.int64, (3,)),
        "bbox": (np.float64, (3, 4)),
        "iscrowd": (np.bool_, (3,)),
    }
