"""Caption files from the field: which caption is whose, and one bad record costs one record."""

from __future__ import annotations

import json

import pytest

RIDING = "a man riding a horse"


@pytest.mark.parametrize("where", [(), ("dataset.images=anywhere",)])
@pytest.mark.parametrize(
    ("file_name", "key"),
    [
        ("000000000139.jpg", "000000000139.jpg"),
        ("000000000139.jpg", "000000000139"),
        ("000000000139.jpg", "000000000139.JPG"),
        ("000000000139.jpg", "/data/val/000000000139.jpg"),
        ("val/139.jpg", "val/139.jpg"),
        ("val/139.jpg", "139.jpg"),
        ("val/139.jpg", "coco/val/139.jpg"),
        ("val\\139.jpg", "val/139.jpg"),
        ("x.jpg", "1"),
    ],
)
def test_a_caption_is_found_by_id_and_by_the_records_own_file_name(case, file_name, key, where) -> None:
    case.images(file_name)
    case.write("captions.json", {key: [RIDING]})

    said = case.run(*where)

    assert said.code == 0, said.err
    assert case.related() == {"1"}


def test_a_caption_of_another_folder_is_not_taken(case) -> None:
    case.images("train/7.jpg")
    case.write("captions.json", {"val/7.jpg": [RIDING]})

    assert case.run().code == 0
    assert case.related() == set()
    assert case.sidecar("captions")["dropped"] == {"no_caption": 1}


def test_sub_folders_tell_images_apart(case) -> None:
    case.images("a/7.jpg", "b/7.jpg")
    case.write("captions.json", {"a/7.jpg": [RIDING], "b/7.jpg": ["a man feeding a horse"]})

    assert case.run().code == 0
    assert [row[:3] for row in case.triplets()] == [("1", "man", "riding"), ("2", "man", "feeding")]


@pytest.mark.parametrize(
    ("file_names", "keys", "named"),
    [
        (("a/7.jpg", "b/7.jpg"), ("7.jpg",), ("a/7.jpg", "'7.jpg'")),
        (("a/7.jpg", "a/7.png"), ("7",), ("a/7.jpg", "'7'")),
        (("7.jpg",), ("a/7.jpg", "b/7.jpg"), ("'a/7.jpg'", "'b/7.jpg'")),
        (("139.jpg",), ("139",), ("139.jpg", "'139'")),
    ],
)
def test_ambiguous_names_are_set_aside_with_the_names(case, file_names, keys, named) -> None:
    case.images(*file_names)
    case.write("captions.json", {key: [RIDING] for key in keys})

    said = case.run("run.quarantine_limit=1.0")

    assert said.code == 0, said.err
    assert case.related() == set()
    path = case.folder / "run" / "quarantine" / "caption"
    assert list(path.glob("*.parquet"))
    import duckdb

    rows = duckdb.sql(f"SELECT reason, detail FROM read_parquet('{path}/*.parquet')").fetchall()
    assert {reason for reason, _ in rows} == {"ambiguous_name"}
    assert all(name in rows[0][1] for name in named)


def test_a_null_caption_costs_its_image_alone(case) -> None:
    case.images("1.jpg", "2.jpg")
    case.write("captions.json", [{"image_id": 1, "caption": RIDING}, {"image_id": 2, "caption": None}])

    assert case.run().code == 0
    assert case.related() == {"1"}
    sidecar = case.sidecar("captions")
    assert sidecar["dropped"] == {"empty_captions": 1}
    assert sidecar["notes"]["unusable_captions"] == {"null_caption": 1}


def test_records_of_no_image_are_counted_and_the_others_used(case) -> None:
    case.images("1.jpg")
    records = [{"image_id": 1, "caption": RIDING}, {"caption": "a dog"}, 7, {"image_id": 1.0, "caption": 3}]
    case.write("captions.json", records)

    assert case.run("run.lost_captions_limit=1.0").code == 0
    assert case.related() == {"1"}
    notes = case.sidecar("captions")["notes"]
    assert list(notes["caption_files"].values()) == [{"no_image": 1, "not_a_record": 1}]
    assert notes["unusable_captions"] == {"not_text": 1}


def test_a_key_that_is_there_twice_gives_both_captions(case) -> None:
    case.images("1.jpg", "2.jpg")
    case.write("captions.json", '{"1":["a man riding a horse"],"2":["x"],"1":["a man feeding a horse"]}')

    assert case.run().code == 0
    assert {row[2] for row in case.triplets()} == {"riding", "feeding"}
    assert list(case.sidecar("captions")["notes"]["caption_files"].values()) == [{"repeated_key": 1}]


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"1":["a man riding a horse"]}',
        '{"1":["a man riding a horse"]}'.encode("utf-16"),
        b'{"image_id":1,"caption":"a man riding a horse"}\n{"image_id":2,"caption":"a dog"}\n',
        b'{"file_name":"1.jpg","caption":"a man riding a horse"}\r\n\r\n{"file_name":"2.jpg","caption":"x"}',
        b'{"image_id":1,"caption":"a man riding a horse"}',
        b'{"annotations":[{"id":3,"image_id":1,"caption":"a man riding a horse"}]}',
    ],
    ids=["utf-8 mark", "utf-16", "lines", "lines by name", "one line", "coco"],
)
def test_marks_and_lines_are_read(case, content) -> None:
    case.images("1.jpg")
    case.write("captions.json", content)

    said = case.run()

    assert said.code == 0, said.err
    assert case.related() == {"1"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"1":["a man by a café"]}'.encode("latin-1"), "not UTF-8: byte 0xe9"),
        (b'{"image_id":1,"caption":"a"}\n{"image_id":2,', "line 2"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{", "not a caption file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(case, content, message) -> None:
    case.images("1.jpg")
    case.write("captions.json", content)

    said = case.run()

    assert said.code != 0
    assert "captions.json" in said.err + said.out
    assert message in said.err + said.out
    assert "Traceback" not in said.err


def test_half_a_surrogate_pair_in_a_caption_is_taken_out_and_counted(case) -> None:
    case.images("1.jpg")
    case.write("captions.json", json.dumps({"1": ["a man riding \ud83d a horse"]}))

    assert case.run().code == 0
    assert case.rows("captions", ["text"]) == [(RIDING,)]
    assert case.sidecar("captions")["notes"]["cleaned"] == {"lone_surrogate": 1}


def test_half_a_surrogate_pair_in_a_file_name_costs_one_record(case) -> None:
    case.images("1.jpg", "p\udce9re.jpg", "3.jpg")
    case.write("captions.json", {str(i): [RIDING] for i in (1, 2, 3)})

    assert case.run("dataset.images=pics", "run.quarantine_limit=1.0").code == 0
    assert {"1", "3"} <= case.related()
