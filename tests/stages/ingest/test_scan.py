"""Records read by native code are what the general reader makes of them, or are left to it one by one."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.kernels.native import loading
from relforge.kernels.native.build import SCAN
from relforge.stages.contract import SourceError
from relforge.stages.ingest import coco_boxes, coco_images
from relforge.stages.ingest.coco import CocoSource
from relforge.stages.ingest.coco_boxes import decode_annotations, read_boxes
from relforge.stages.ingest.coco_images import decode_images, read_images
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.json_stream import JsonStream
from relforge.stages.ingest.scan import Scanner
from tests.fixtures.sanitized import report_of

pytestmark = pytest.mark.skipif(
    loading.why_unavailable(SCAN) is not None, reason=f"no native reader: {loading.why_unavailable(SCAN)}"
)
POLYGON = [[round(k * 1.37, 2) for k in range(12)]]


def box(identity: object = 1, **fields: object) -> dict[str, object]:
    kept = {"area": 2.5, "iscrowd": 0, "image_id": 7, "bbox": [1.5, 2, 30, 4.25]}
    return {"segmentation": POLYGON} | kept | {"category_id": 3, "id": identity} | fields


def image(identity: object = 7, **fields: object) -> dict[str, object]:
    name = {"license": 3, "file_name": f"{identity}.jpg", "coco_url": "http://x.org/1.jpg"}
    return (
        name | {"height": 80, "width": 100, "date_captured": "2013-11-14 16:28:13", "id": identity} | fields
    )


@contextmanager
def general_reader_only() -> Iterator[None]:
    """Without native code."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (coco_boxes, coco_images):
            patch.setattr(module, "load_scanner", lambda *_: None)
        yield


def boxes_of(array: bytes, window: int) -> list[tuple[object, ...]] | None:
    """The rows of an array with their ids as text; None where it is refused."""
    stream, ids = JsonStream(io.BytesIO(b'{"a":' + array + b"}"), "a.json", window), Ids()
    try:
        rows = [row for _ in stream.members() for batch in read_boxes(stream, ids) for row in batch.tolist()]
    except SourceError:
        return None
    return [(*map(ids.text, row[:4]), np.array(row[4]).tobytes(), *row[5:]) for row in rows]


def images_of(array: bytes, window: int) -> list[tuple[object, ...]] | None:
    """The same for images."""
    stream, ids = JsonStream(io.BytesIO(b'{"a":' + array + b"}"), "a.json", window), Ids()
    try:
        [found] = [read_images(stream, ids, str) for _ in stream.members()]
    except SourceError:
        return None
    names = map(ids.text, found.codes.tolist())
    return list(zip(names, found.sizes.tolist(), found.file_names.to_pylist(), strict=True))


def irregular_places(kind: str, array: Any, **form: Any) -> list[int]:
    """The places of the records that are left to the general reader."""
    decode: Callable[[bytes], list[Any]] = decode_annotations if kind == "boxes" else decode_images
    text = json.dumps(array, **form).encode()[1:]
    scanned, length = Scanner[Any](kind, decode)(memoryview(text))
    assert (len(scanned.rows), length) == (len(array), text.rindex(b"}") + 1)
    return scanned.irregular.tolist()


@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": 2}])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"bbox": [-1.5, 0, 1e2, 123.45600128173828]},
        {"isfake": 0, "attributes": {"occluded": False, "parts": [1, {"a": None}]}, "note": "text"},
        {"segmentation": []},
        {"segmentation": [[1, 2], [3e-5, 4]]},
        {"segmentation": {"counts": [3, 4, 5], "size": [4, 3]}},
        {"segmentation": {"counts": "abc}", "size": [4, 3]}},
        {"keypoints": [1, 2, 0]},
    ],
)
def test_a_plain_annotation_is_read_natively(form, fields):
    assert irregular_places("boxes", [box(k, **fields) for k in range(3)], **form) == []


@pytest.mark.parametrize(
    "irregular",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, 4, 5]},
        {"bbox": [1, 2, 3, float("nan")]},
        {"bbox": [1, 2, 3, 10**400]},
        {"bbox": [1, 2, -0.0, 4]},
        {"bbox": [1, 2, 3, "4"]},
        {"bbox": 5},
        {"id": None},
        {"id": "5"},
        {"id": 1.5},
        {"id": -4},
        {"id": 2**63},
        {"iscrowd": True},
        {"box_id": 4},
        {"source_id": "a"},
        {"note": "caf\\é"},
        {"note": [[[[[[[[[[]]]]]]]]]]},
        {"segmentation": [[1, 2], "a"]},
    ],
)
def test_a_record_that_is_not_plain_goes_to_the_general_reader_alone(irregular):
    assert irregular_places("boxes", [box(1), box(2, **irregular), box(3)]) == [1]


@pytest.mark.parametrize(
    "irregular",
    [{"id": "street/one"}, {"file_name": "é.jpg"}, {"file_name": None}, {"width": 0.5}, {"height": 2**31}],
)
def test_so_does_an_image(irregular):
    assert irregular_places("images", [image(1), image(2, **irregular), image(3)]) == [1]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'"id": 2', b'"id2": 2'),
        (b'"id": 2', b'"id": 02'),
        (b'"id": 2', b'"id": '),
        (b'"id": 2', b'"id": 2, "id": 5'),
        (b'"id": 2', b'"id": 2,'),
        (b"[1.5, 2, 30", b"[1., 2, 30"),
        (b"[1.5, 2, 30", b"[.5, 2, 30"),
        (b"[1.5, 2, 30", b"[1.5, 2 30"),
        (b"[1.5, 2, 30", b"[--1, 2, 30"),
        (b"[1.5, 2, 30", b"[1e, 2, 30"),
        (b"}, {", b"}  {"),
        (b"}, {", b"}, , {"),
        (b"}, {", b"}, 5, {"),
        (b"}]", b"},]"),
        (b"]], ", b"]]] "),
        (b'"image_id"', b'"image\\u005fid"'),
        (b'"image_id"', b'"image\x01id"'),
    ],
)
@pytest.mark.parametrize("where", [1, -1])
@pytest.mark.parametrize("window", [1, 200, 1 << 20])
def test_damaged_text_means_the_same_to_both_readers(right, wrong, where, window):
    parts = json.dumps([box(2), box(2), box(2)]).encode().split(right)
    damaged = right.join(parts[:where]) + wrong + right.join(parts[where:])

    found = boxes_of(damaged, window)

    with general_reader_only():
        assert found == boxes_of(damaged, window)


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.floats())
ids = st.integers(0, 2**63 - 1) | st.integers(-3, 9) | junk
decimals = st.integers(-5, 700) | st.floats(-1e6, 1e6).map(lambda v: round(v, 2)) | st.floats()
coordinates = st.lists(decimals, min_size=4, max_size=4) | junk
polygons = st.lists(st.lists(st.floats(0, 640), max_size=9), max_size=3)
annotation = st.builds(
    box, ids, bbox=coordinates, image_id=ids, category_id=ids, iscrowd=junk, segmentation=polygons | junk
)
picture = st.builds(image, ids, width=decimals, height=st.integers(), file_name=st.text(max_size=4) | junk)
separators = st.sampled_from([None, (",", ":"), (" ,\n", " :\t")])
inside_polygons = re.compile(rb'"segmentation"\s*:\s*\[[^"]*\]')


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 300), separators)
@pytest.mark.parametrize(("records", "read"), [(annotation, boxes_of), (picture, images_of)])
def test_whatever_byte_is_changed_both_see_the_same(records, read, data, window, separators):
    found = data.draw(st.lists(records | junk if data.draw(st.booleans()) else records, max_size=5))
    array = bytearray(json.dumps(found, separators=separators).encode())
    unseen = {at for match in inside_polygons.finditer(array) for at in range(match.start(), match.end())}
    places = sorted(set(range(len(array))) - unseen)  # the numbers of polygons are not read
    if data.draw(st.booleans()):
        array[data.draw(st.sampled_from(places))] = data.draw(st.sampled_from(b'0123456789.-,:[]{}" \\ae\n'))

    seen = read(bytes(array), window)

    with general_reader_only():
        assert seen == read(bytes(array), window)


@settings(max_examples=150, deadline=None)
@given(
    st.decimals(-(10**14), 10**14, allow_nan=False).map(str)
    | st.floats(-1e15, 1e15).map(repr)
    | st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)
def test_a_coordinate_is_the_double_that_python_reads(number):
    array = json.dumps([box()]).replace("30", number)
    try:
        wanted = json.loads(array)[0]["bbox"][2]
    except ValueError:
        return

    scanned, _ = Scanner("boxes", decode_annotations)(memoryview(array.encode()[1:]))

    assert len(scanned.irregular) or scanned.rows["xywh"][0, 2] == wanted


def everything(path: Path, shard_images: int = 2) -> list[object]:
    """All that a source makes of a file."""
    found = CocoSource(str(path), images="photos").shards(shard_images)
    return [(shard.tables, shard.quarantined, shard.dropped, shard.kept, shard.notes) for shard in found]


@settings(max_examples=40, deadline=None)
@given(st.lists(picture | junk, max_size=6), st.lists(annotation | junk, max_size=9))
def test_both_give_the_same_tables_and_quarantine(tmp_path_factory, images, boxes):
    path = tmp_path_factory.mktemp("scan") / "a.json"
    categories = [{"id": k, "name": f"class {k}"} for k in range(5)]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))

    found = everything(path)

    with general_reader_only():
        assert found == everything(path)


def test_both_give_the_same_tables_of_the_real_validation_part(shared):
    path = shared("data/coco/instances_val2017_part.json")

    found = everything(path, 1000)

    with general_reader_only():
        assert found == everything(path, 1000)


def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path):
    assert "records" in report_of(SCAN, Path(__file__).with_name("sanitized.cpp"), tmp_path)
