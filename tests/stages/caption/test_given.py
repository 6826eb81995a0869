"""Captions from files, in every layout, for the images that have them."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS


def images(
    *ids: str,
    uris: tuple[str | None, ...] | None = None,
    file_names: tuple[str | None, ...] | None = None,
    shared: bool = False,
) -> dict[str, pa.Table]:
    rows = {
        "image_id": ids,
        "dataset": ["d"] * len(ids),
        "split": ["s"] * len(ids),
        "uri": uris or [None] * len(ids),
        "width": [9] * len(ids),
        "height": [9] * len(ids),
        "bytes": [None] * len(ids),
        "file_name": file_names or [None] * len(ids),
        "shared_name": [shared] * len(ids),
    }
    return {"images": pa.table(rows, schema=SCHEMAS["images"])}


def run(stage, tables):
    """The stage's result, after checking its account."""
    stage.setup()
    result = stage.process(tables)
    assert result.kept + sum(result.dropped.values()) + len(result.quarantined) == tables["images"].num_rows
    return result


def texts(result) -> list[tuple[str, int, str]]:
    return [(r["image_id"], r["caption_id"], r["text"]) for r in result.tables["captions"].to_pylist()]


def write(tmp_path, content: object) -> str:
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_oracle_reads_coco_captions_in_file_order(tmp_path):
    rows = [
        {"image_id": 7, "id": 1, "caption": "a"},
        {"image_id": 8, "id": 2, "caption": "b"},
        {"image_id": 7, "id": 3, "caption": "c"},
    ]

    result = run(build("caption", "oracle", files=write(tmp_path, {"annotations": rows})), images("7", "8"))

    assert texts(result) == [("7", 0, "a"), ("7", 1, "c"), ("8", 0, "b")]
    assert set(result.tables["captions"]["source"].to_pylist()) == {"oracle"}


@pytest.mark.parametrize(
    "content",
    [
        {"7": ["a dog", "a cat"]},
        [{"image_id": 7, "caption": "a dog"}, {"image_id": "7", "caption": "a cat"}],
        {"COCO_val2014_000000000007.jpg": ["a dog", "a cat"]},
        {"COCO_val2014_000000000007": ["a dog", "a cat"]},
    ],
)
def test_import_reads_every_layout(tmp_path, content):
    tables = images("7", uris=("s3://photos/COCO_val2014_000000000007.jpg",))

    result = run(build("caption", "import", files=write(tmp_path, content), source="blip"), tables)

    assert texts(result) == [("7", 0, "a dog"), ("7", 1, "a cat")]
    assert result.tables["captions"]["source"].to_pylist() == ["blip", "blip"]


def test_one_caption_may_be_plain_text(tmp_path):
    stage = build("caption", "import", files=write(tmp_path, {"7": "a dog"}))

    assert texts(run(stage, images("7"))) == [("7", 0, "a dog")]


def test_images_without_captions_are_counted_by_reason(tmp_path):
    stage = build("caption", "import", files=write(tmp_path, {"1": ["a"], "2": [], "3": [" "]}))

    result = run(stage, images("1", "2", "3", "4"))

    assert result.kept == 1
    assert result.dropped == {"no_caption": 2, "empty_captions": 1}


def test_an_empty_caption_among_others_is_left_out_and_the_rest_keep_their_numbers(tmp_path):
    result = run(build("caption", "import", files=write(tmp_path, {"1": ["a", "", "c"]})), images("1"))

    assert texts(result) == [("1", 0, "a"), ("1", 2, "c")]


def test_long_and_emoji_captions_come_through_unharmed_and_white_space_is_tidied(tmp_path):
    long, emoji = "dog " * 2500, " a 🐕\n on\ta 🛋️ "

    result = run(build("caption", "import", files=write(tmp_path, {"1": [long, emoji]})), images("1"))

    assert texts(result) == [("1", 0, long.strip()), ("1", 1, "a 🐕 on a 🛋️")]


def test_several_files_are_joined_and_limit_keeps_the_first(tmp_path):
    (tmp_path / "b").mkdir()
    paths = [write(tmp_path, {"1": ["a", "b"]}), write(tmp_path / "b", {"1": ["c", "d"]})]

    result = run(build("caption", "import", files=paths, limit=3), images("1"))

    assert texts(result) == [("1", 0, "a"), ("1", 1, "b"), ("1", 2, "c")]
    with pytest.raises(ValueError, match="at least 1"):
        build("caption", "import", files=paths, limit=0)


@pytest.mark.parametrize("backend", ["oracle", "import"])
@pytest.mark.parametrize("content", ["not json", '{"a": 1}', "[3]"])
def test_a_file_of_another_layout_is_refused_by_name(tmp_path, backend, content):
    path = tmp_path / "captions.json"
    path.write_text(content)

    with pytest.raises(ValueError, match=r"captions\.json: not a .*expected"):
        build("caption", backend, files=str(path)).setup()


def test_the_real_files_give_five_captions_per_image(shared):
    oracle = build("caption", "oracle", files=str(shared("data/coco/captions_val2017_part.json")))
    karpathy = shared("data/coco/karpathy_val_captions_minus_val2017.json")
    imported = build("caption", "import", files=str(karpathy))

    assert len(texts(run(oracle, images("139")))) == 5
    uri = "photos/COCO_val2014_000000184613.jpg"
    assert len(texts(run(imported, images("184613", uris=(uri,))))) == 5


def test_an_image_whose_captions_cannot_be_told_is_set_aside(tmp_path):
    path = write(tmp_path, {"a/7.jpg": ["a dog"], "b/7.jpg": ["a cat"]})

    result = run(build("caption", "import", files=path), images("1", file_names=("7.jpg",)))

    assert [(q.record, q.reason) for q in result.quarantined] == [({"image_id": "1"}, "ambiguous_name")]
    assert texts(result) == []
