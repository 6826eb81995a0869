"""Fingerprints change with whatever changes the output, and with nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial

import pyarrow as pa
import pytest

from relforge.pipeline.errors import RunError
from relforge.pipeline.store.file_hash import hash_file
from relforge.pipeline.store.fingerprint import (
    dataset_hash,
    ingest_fingerprint,
    ingest_fingerprints,
    shard_fingerprint,
    shard_fingerprints,
    stage_key,
)
from relforge.pipeline.store.parquet import content_hash, to_bytes
from relforge.stages.tables import SCHEMA_VERSION

OLD = 1_700_000_000


def key(options=None, files=None, version=1, neutral=()):
    return stage_key("caption", version, "blip", options or {"p": 0.9}, files or {}, neutral)


def test_version_options_and_file_contents_count():
    keys = {key(), key(version=2), key({"p": 0.8}), key(files={"m.bin": "aa"}), key(files={"m.bin": "bb"})}
    assert len(keys) == 5


def test_another_schema_version_is_another_key(monkeypatch):
    before = key()
    monkeypatch.setattr("relforge.pipeline.store.fingerprint.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    assert key() != before


def test_neutral_options_do_not_count():
    assert key({"p": 0.9, "batch_size": 8}, neutral=("batch_size",)) == key()


def test_a_file_counts_by_content_and_not_by_place():
    here = key({"model": "/here/m.bin"}, {"/here/m.bin": "aa"})
    there = key({"model": "/there/m.bin"}, {"/there/m.bin": "aa"})
    assert here == there != key({"model": "/here/m.bin"}, {"/here/m.bin": "bb"})


def test_an_input_shard_counts_by_content():
    assert shard_fingerprint("k", {"images": "aa"}) != shard_fingerprint("k", {"images": "bb"})


@pytest.mark.parametrize("tables", [["images"], ["b%s", "a"], ['one "quoted"', "ä", "c"]])
def test_many_fingerprints_at_once_are_those_of_one_at_a_time(tables):
    contents = {table: [f"{table}{shard}" for shard in range(3)] for table in tables}
    one_by_one = [shard_fingerprint("k", {t: contents[t][shard] for t in tables}) for shard in range(3)]

    assert shard_fingerprints("k", contents) == one_by_one
    assert ingest_fingerprints("k", 3) == [ingest_fingerprint("k", shard) for shard in range(3)]


@pytest.mark.parametrize("piece", [1, 2, 10_000])
def test_the_dataset_hash_is_that_of_the_whole_text(piece, monkeypatch):
    monkeypatch.setattr("relforge.pipeline.store.fingerprint._PIECE", piece)
    contents: dict[str, list[tuple[int, str]]]
    contents = {"images": [(0, "a"), (1, "b"), (3, 'c"')], "captions": [], "boxes": [(2, "ä")]}
    text = json.dumps(contents, sort_keys=True)

    found = dataset_hash({table: partial(list, pairs) for table, pairs in contents.items()})

    assert found == hashlib.sha256(text.encode()).hexdigest()


def test_equal_rows_are_equal_content_whatever_the_metadata():
    table = pa.table({"image_id": ["1", "2"]})
    one, two = to_bytes(table, {"fingerprint": "a"}), to_bytes(table, {"fingerprint": "b"})

    assert one != two
    assert content_hash(one, table.schema, 2) == content_hash(two, table.schema, 2)
    other = pa.table({"image_id": ["1", "3"]})
    assert content_hash(to_bytes(other, {}), other.schema, 2) != content_hash(one, table.schema, 2)


def test_equal_rows_are_equal_bytes_however_the_table_was_put_together():
    whole = pa.table({"image_id": ["1", "2", "3"]})
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert to_bytes(whole, {}) == to_bytes(pieces, {})


def test_an_edit_that_keeps_size_and_modification_time_is_noticed(tmp_path):
    path = tmp_path / "boxes.json"
    path.write_text("[1]")
    os.utime(path, (OLD, OLD))
    before = hash_file(str(path))

    path.write_text("[2]")
    os.utime(path, (OLD, OLD))

    assert hash_file(str(path), before).sha256 != before.sha256


def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    path = tmp_path / "boxes.json"
    path.write_text("[1]")
    monkeypatch.setattr("relforge.pipeline.store.file_hash._RACY_SECONDS", 0.0)
    known = hash_file(str(path))
    monkeypatch.setattr("relforge.pipeline.store.file_hash._update", None)

    assert hash_file(str(path), known) == known


def test_a_folder_counts_with_names_and_contents(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    before = hash_file(str(tmp_path)).sha256
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert hash_file(str(tmp_path)).sha256 != before


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match=r"cannot read .*boxes.json: No such file"):
        hash_file(str(tmp_path / "boxes.json"))
