"""A shard is committed whole and accounted for, or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shims import CallAt, Interrupting
from tiny import TinyCaption

from relforge.pipeline.errors import BrokenInvariant
from relforge.pipeline.store.commit import CommitContext, commit
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.contract import Quarantined
from relforge.stages.tables import SCHEMAS, TABLES, empty

CONTEXT = CommitContext(
    "caption", {"captions": TABLES["captions"]}, "finger", {"images": "aa"}, rows_in=4, seconds=0.5
)


@pytest.fixture
def result():
    """Four images: two captions, one dropped, one quarantined."""
    images = [
        {"image_id": f"{i:05d}", "dataset": "d", "split": "s", "width": 1, "height": 1} for i in range(4)
    ]
    stage = TinyCaption(dropped=[1], quarantined=[2])
    stage.setup()
    return stage.process({"images": pa.Table.from_pylist(images, schema=SCHEMAS["images"])})


def test_the_sidecar_accounts_for_every_row(tmp_path, result):
    folder = RunFolder(tmp_path / "run")

    sidecars, ours = commit(folder, 7, result, CONTEXT)

    assert ours
    sidecar = sidecars["captions"]
    assert (sidecar.rows_in, sidecar.kept, sidecar.rows_out) == (4, 2, 2)
    assert (sidecar.dropped, sidecar.quarantined) == ({"not_wanted": 1}, {"too_dark": 1})
    assert folder.survey("captions")[7].problem is None
    assert folder.read_table("captions", 7, sidecar).num_rows == 2


def test_the_file_says_where_it_comes_from_and_nothing_about_when(tmp_path, result):
    folder = RunFolder(tmp_path / "run")
    commit(folder, 0, result, CONTEXT)
    metadata = pq.read_schema(tmp_path / "run/captions/part-00000.parquet").metadata

    assert metadata[b"relforge.stage"] == b"caption"
    assert metadata[b"relforge.fingerprint"] == b"finger"
    assert metadata[b"relforge.rows_out"] == b"2"
    first = (tmp_path / "run/captions/part-00000.parquet").read_bytes()
    later = replace(CONTEXT, seconds=9.0, attempt=3, forced=True)
    commit(folder, 0, result, later)
    assert (tmp_path / "run/captions/part-00000.parquet").read_bytes() == first


def test_quarantined_records_are_kept_with_their_reason(tmp_path, result):
    commit(RunFolder(tmp_path / "run"), 0, result, replace(CONTEXT, attempt=2))

    rows = pq.ParquetFile(tmp_path / "run/quarantine/caption/part-00000.parquet").read().to_pylist()
    assert rows == [
        {
            "stage": "caption",
            "shard": 0,
            "image_id": "00002",
            "record": '{"image_id": "00002"}',
            "reason": "too_dark",
            "detail": "",
            "attempt": 2,
        }
    ]


def test_a_quarantine_that_emptied_is_removed(tmp_path, result):
    folder = RunFolder(tmp_path / "run")
    commit(folder, 0, result, CONTEXT)
    repaired = replace(result, kept=3, quarantined=[])
    commit(folder, 0, repaired, replace(CONTEXT, fingerprint="other"))

    assert folder.storage.listing("quarantine/caption") == {}


@pytest.mark.parametrize(
    "change",
    [
        {"kept": 1},
        {"kept": 5},
        {"dropped": {}},
        {"quarantined": [Quarantined({"image_id": "x"}, "r")] * 3},
        {"kept": 5, "dropped": {"not_wanted": -2}},
        {"tables": {}},
        {"tables": {"captions": empty("boxes")}},
    ],
)
def test_an_account_that_does_not_add_up_commits_nothing(tmp_path, result, change):
    with pytest.raises(BrokenInvariant):
        commit(RunFolder(tmp_path / "run"), 0, replace(result, **change), CONTEXT)
    assert RunFolder(tmp_path / "run").survey("captions") == {}


def test_the_second_to_commit_the_same_shard_discards_its_work(tmp_path, result):
    folder = RunFolder(tmp_path / "run")
    commit(folder, 0, result, CONTEXT)
    # a stage that is not as repeatable as it should be
    other = replace(result, tables={"captions": result.tables["captions"].slice(0, 1)})

    sidecars, ours = commit(folder, 0, other, CONTEXT)

    assert not ours
    assert sidecars["captions"].rows_out == 2
    assert folder.read_table("captions", 0, sidecars["captions"]).num_rows == 2


def test_a_sidecar_records_the_quarantined_records_without_the_attempt(tmp_path, result):
    folder = RunFolder(tmp_path / "run")
    first = commit(folder, 0, result, CONTEXT)[0]["captions"].quarantine
    again = commit(folder, 0, result, replace(CONTEXT, attempt=2, forced=True))[0]["captions"].quarantine

    data = (tmp_path / "run/quarantine/caption/part-00000.parquet").read_bytes()
    assert again
    assert (again.size, again.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert first
    assert first.content == again.content
    assert first.sha256 != again.sha256


def test_where_an_object_was_in_memory_is_no_part_of_a_quarantined_record(tmp_path, result):
    shown = replace(
        result, quarantined=[Quarantined({"image_id": "2"}, "r", "<Box object at 0x7f3a> is odd")]
    )
    commit(RunFolder(tmp_path / "run"), 0, shown, CONTEXT)

    rows = pq.ParquetFile(tmp_path / "run/quarantine/caption/part-00000.parquet").read()
    assert rows["detail"].to_pylist() == ["<Box object> is odd"]


def test_quarantined_records_are_there_before_the_sidecar(tmp_path, result):
    root = tmp_path / "run"
    there: list[bool] = []
    file = root / "quarantine/caption/part-00000.parquet"
    ops = CallAt("rename", "captions/part-00000.json", lambda: there.append(file.exists()))

    commit(RunFolder(root, LocalStorage(root, ops)), 0, result, CONTEXT)

    assert there == [True]


def test_the_old_sidecar_is_gone_before_new_quarantined_records_appear(tmp_path, result):
    root = tmp_path / "run"
    commit(RunFolder(root), 0, result, replace(CONTEXT, fingerprint="old"))
    beside: list[bool] = []
    sidecar = root / "_state/captions/part-00000.json"
    ops = CallAt("rename", "quarantine/caption/part-00000.parquet", lambda: beside.append(sidecar.exists()))

    commit(RunFolder(root, LocalStorage(root, ops)), 0, result, CONTEXT)

    assert beside == [False]


def test_the_old_sidecar_is_gone_before_new_data_appears(tmp_path, result):
    """Else a death in between leaves it beside data that may even have the size it names."""
    root = tmp_path / "run"
    commit(RunFolder(root), 0, result, replace(CONTEXT, fingerprint="old"))
    beside: list[bool] = []
    sidecar = root / "_state/captions/part-00000.json"
    ops = CallAt("rename", "captions/part-00000.parquet", lambda: beside.append(sidecar.exists()))

    commit(RunFolder(root, LocalStorage(root, ops)), 0, result, CONTEXT)

    assert beside == [False]


def test_a_second_committer_waits_for_the_first_and_then_discards_its_work(tmp_path, result):
    root = tmp_path / "run"
    ours: dict[str, bool] = {}

    def second() -> None:
        ours["second"] = commit(RunFolder(root), 0, result, CONTEXT)[1]

    thread = Thread(target=second)

    def start_the_second() -> None:
        thread.start()
        thread.join(0.5)  # time enough to finish, were there no lock

    ops = CallAt("rename", "captions/part-00000.parquet", start_the_second)
    ours["first"] = commit(RunFolder(root, LocalStorage(root, ops)), 0, result, CONTEXT)[1]
    thread.join(30)

    assert ours == {"first": True, "second": False}


def test_an_interruption_at_any_system_call_leaves_a_whole_shard_or_none(tmp_path, result):
    """The old commit may be gone, but nothing unfinished counts as committed, and no temporary file stays."""
    for n in range(1, 30):
        root = tmp_path / f"run{n}"
        commit(RunFolder(root), 0, result, replace(CONTEXT, fingerprint="old"))
        shortened = replace(result, tables={"captions": result.tables["captions"].slice(0, 1)})
        try:
            commit(RunFolder(root, LocalStorage(root, Interrupting(n))), 0, shortened, CONTEXT)
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False

        folder = RunFolder(root)
        entry = folder.survey("captions")[0]
        if not entry.problem:
            assert entry.sidecar is not None
            rows = folder.read_table("captions", 0, entry.sidecar).num_rows
            assert rows == {"old": 2, "finger": 1}[entry.sidecar.fingerprint]
        assert list(root.rglob("*.tmp")) == []
        if not interrupted:
            assert n > 8
            return
    pytest.fail("the commit never got through")
