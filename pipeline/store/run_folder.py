"""The names inside a run folder, and reading and listing what is there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from relforge.pipeline.errors import BrokenShard, RunError
from relforge.pipeline.store.entries import Entries
from relforge.pipeline.store.entry import Entry
from relforge.pipeline.store.files import Parts
from relforge.pipeline.store.local_storage import LocalStorage
from relforge.pipeline.store.manifest import find_unchanged, make_rows, read_manifest
from relforge.pipeline.store.object_storage import ObjectStorage
from relforge.pipeline.store.parquet import check_rows, footer_size, from_bytes
from relforge.pipeline.store.sidecar import Sidecar
from relforge.pipeline.store.storage import Stat, Storage
from relforge.stages.tables import SCHEMAS

RUN_FILE = "run.json"
INGEST_MANIFEST = "ingest.json"
RUNNING = "logs/running"
FAILED = "logs/failed"
STATE = "_state"
"""Sidecars are under it, so that a table's folder holds Parquet files alone."""
DAMAGED_SIDECAR = "its sidecar"
"""How the problem of a shard begins whose sidecar cannot be read."""
_READERS = 16
_FOOTER = 16 << 10
"""So many bytes hold the footer of most shards: a second read is rare."""

Found = TypeVar("Found")
Name = TypeVar("Name", int, str)


class RunFolder:
    """A run folder by path or URI.

    Args:
        uri: local path, `s3://bucket/run`, ...
        storage: the storage to use instead of the one the URI names.
    """

    def __init__(self, uri: str | os.PathLike[str], storage: Storage | None = None) -> None:
        self.storage = storage or open_storage(uri)

    @property
    def uri(self) -> str:
        return self.storage.root

    # --- names

    @staticmethod
    def data_path(table: str, shard: int) -> str:
        return f"{table}/part-{shard:05d}.parquet"

    @staticmethod
    def sidecar_path(table: str, shard: int) -> str:
        return f"{STATE}/{table}/part-{shard:05d}.json"

    @staticmethod
    def old_sidecar_path(table: str, shard: int) -> str:
        """Where earlier versions put it: beside the data. Read, never written."""
        return f"{table}/part-{shard:05d}.json"

    @staticmethod
    def quarantine_path(stage: str, shard: int) -> str:
        return f"quarantine/{stage}/part-{shard:05d}.parquet"

    @staticmethod
    def running_path(stage: str, shard: int) -> str:
        return f"{RUNNING}/{stage}-{shard:05d}.json"

    @staticmethod
    def failed_path(stage: str, shard: int) -> str:
        return f"{FAILED}/{stage}-{shard:05d}.json"

    # --- small JSON files

    def read_json(self, path: str) -> dict[str, Any] | None:
        """The JSON object at `path`; None when the file is absent. RunError when it is damaged."""
        try:
            value: dict[str, Any] = json.loads(self.storage.read(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, RecursionError) as error:
            raise self.damaged(path, str(error)) from error
        if not isinstance(value, dict):
            raise self.damaged(path, f"expected a JSON object, found {type(value).__name__}")
        return value

    def damaged(self, path: str, what: str, fix: str | None = None) -> RunError:
        """The error for when a file of the folder is not what it should be.

        Args:
            fix: what the user can do; by default, what helps for a file of that name.
        """
        fix = fix or (
            "delete it, nothing is lost"
            if path.startswith("logs/")
            else "restore or delete it and give the same `relforge run` command again; what is done stays"
        )
        return RunError(f"{self.uri}/{path} is damaged ({what}); {fix}")

    def write_json(self, path: str, value: Any, *, durable: bool = True, private: bool = False) -> None:
        """Publish a JSON object atomically; see `Storage.write`."""
        data = json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
        self.storage.write(path, data, durable=durable, private=private)

    def record(self) -> dict[str, Any]:
        """`run.json`; RunError when this is no run folder."""
        record = self.read_json(RUN_FILE)
        if record is None:
            raise RunError(f"{self.uri} is not a run folder (no {RUN_FILE} in it); check the path")
        return record

    # --- shards

    def sidecar(self, table: str, shard: int) -> Sidecar | None:
        """The account of a shard; None when there is none or it cannot be read."""
        for path in (self.sidecar_path(table, shard), self.old_sidecar_path(table, shard)):
            try:
                return Sidecar.from_bytes(self.storage.read(path))
            except FileNotFoundError:
                continue
            except ValueError:
                return None
        return None

    def committed(self, tables: Iterable[str], shard: int, fingerprint: str) -> dict[str, Sidecar] | None:
        """The accounts of a shard in all these tables if it is done with that fingerprint; else None."""
        found = {}
        for table in tables:
            sidecar = self.sidecar(table, shard)
            if not sidecar or sidecar.fingerprint != fingerprint:
                return None
            if self.storage.size(self.data_path(table, shard)) != sidecar.size:
                return None
            found[table] = sidecar
        return found

    def survey(self, table: str, *, compacted: bool = True) -> Entries:
        """Every shard of a table that has a data file or a sidecar.

        Args:
            compacted: take the accounts of sidecars that did not change since from the table's manifest.
        """
        listed = self.for_each([table, f"{STATE}/{table}"], self.storage.files)
        data, old = (Parts.of(listed[table], ending) for ending in (".parquet", ".json"))
        state = Parts.of(listed[f"{STATE}/{table}"], ".json")
        rows = read_manifest(self.storage, table) if compacted else make_rows([])
        rows = rows.filter(pa.array(find_unchanged(rows, state, data))).drop_columns(["sidecar", "data"])
        shards = np.unique(np.concatenate([data.shards, state.shards, old.shards]))
        shards = np.setdiff1d(shards, rows["shard"].to_numpy(), assume_unique=True)
        files, sidecars, old_sidecars = (parts.only(shards).stats for parts in (data, state, old))

        def read_entry(shard: int) -> Entry:
            file = files.get(shard)
            if shard in sidecars:
                return self._entry(self.sidecar_path(table, shard), file)
            if shard in old_sidecars:
                return self._entry(self.old_sidecar_path(table, shard), file)
            return Entry(file.size if file else None, None, "the data has no sidecar")

        loose = self.for_each(shards.tolist(), read_entry)
        return Entries(loose, rows, lambda: self._accounts(table, rows))

    def data_files(self, table: str) -> Parts:
        """Data files of a table."""
        return Parts.of(self.storage.files(table), ".parquet")

    def sidecar_files(self, table: str) -> Parts:
        """Sidecars of a table; those of earlier versions, beside the data, are not among them."""
        return Parts.of(self.storage.files(f"{STATE}/{table}"), ".json")

    def quarantine_files(self, stage: str) -> Parts:
        """A stage's files of quarantined records."""
        return Parts.of(self.storage.files(f"quarantine/{stage}"), ".parquet")

    def for_each(self, names: Sequence[Name], call: Callable[[Name], Found]) -> dict[Name, Found]:
        """Call a function that reads little of a shard or folder, several at once where latency is all."""
        if "://" not in self.uri:
            return {name: call(name) for name in names}
        with ThreadPoolExecutor(_READERS) as readers:
            return dict(zip(names, readers.map(call, names), strict=True))

    def read_table(
        self, table: str, shard: int, sidecar: Sidecar, schema: pa.Schema | None = None
    ) -> pa.Table:
        """The rows of a committed shard, every byte checked against its sidecar.

        Args:
            schema: of a table that is not built in (`Plan.spec`).

        Raises:
            BrokenShard: absent, of another size or hash, not Parquet, or of another schema.
        """
        data = self.read_data(table, shard, sidecar)
        try:
            return from_bytes(data, schema or SCHEMAS[table])
        except ValueError as error:
            raise BrokenShard(table, shard, str(error)) from error

    def read_data(self, table: str, shard: int, sidecar: Sidecar) -> bytes:
        """The data file of a committed shard; BrokenShard when it is absent or not what its sidecar says."""
        try:
            data = self.storage.read(self.data_path(table, shard))
        except FileNotFoundError:
            raise BrokenShard(table, shard, "the data file is gone") from None
        if len(data) != sidecar.size:
            raise BrokenShard(table, shard, f"{len(data)} bytes, its sidecar says {sidecar.size}")
        if hashlib.sha256(data).hexdigest() != sidecar.sha256:
            raise BrokenShard(table, shard, "its bytes changed since it was written")
        return data

    def check_footer(self, table: str, shard: int, sidecar: Sidecar) -> None:
        """Read the end of a data file alone; BrokenShard when it is not that of a Parquet file with the rows
        that the sidecar says."""
        path = self.data_path(table, shard)
        try:
            tail = self.storage.read_end(path, _FOOTER)
            if (size := footer_size(tail)) > len(tail):
                tail = self.storage.read_end(path, size)
            check_rows(tail, sidecar.rows_out)
        except FileNotFoundError:
            raise BrokenShard(table, shard, "the data file is gone") from None
        except ValueError as error:
            raise BrokenShard(table, shard, str(error)) from error

    def indices(self, table: str) -> list[int]:
        """Shards of a table that have a data file or a sidecar."""
        return sorted(_parts(self.storage.listing(table)) | _parts(self.storage.listing(f"{STATE}/{table}")))

    def numbers(self, folder: str, stage: str) -> list[int]:
        """Shard indices of the files `<stage>-00042.json` in a folder under logs."""
        prefix = f"{stage}-"
        names = (
            n.removeprefix(prefix).removesuffix(".json")
            for n in self.storage.listing(folder)
            if n.startswith(prefix)
        )
        return sorted(int(name) for name in names if name.isdigit())

    def delete_sidecar(self, table: str, shard: int) -> None:
        """Make a shard count as not committed, in whichever place its sidecar is."""
        self.storage.delete(self.sidecar_path(table, shard))
        self.storage.delete(self.old_sidecar_path(table, shard))

    def delete_shards(self, table: str, shards: Iterable[int]) -> None:
        """Remove shards, sidecar first so that no moment shows a sidecar without data."""
        for shard in shards:
            self.delete_sidecar(table, shard)
            self.storage.delete(self.data_path(table, shard))

    def delete_quarantine(self, stage: str, since: int) -> None:
        """Remove the files of quarantined records of shard `since` and those after it."""
        for shard in _parts(self.storage.listing(f"quarantine/{stage}")):
            if shard >= since:
                self.storage.delete(self.quarantine_path(stage, shard))

    def _entry(self, path: str, file: Stat | None) -> Entry:
        """Whether and what the sidecar at `path` records of a data file."""
        try:
            account = self.storage.read(path)
            Sidecar.from_bytes(account)
        except FileNotFoundError:
            return Entry(file.size, None, "the data has no sidecar") if file else Entry(None, None, None)
        except ValueError as error:
            return Entry(file.size if file else None, None, f"{DAMAGED_SIDECAR} {path} is damaged: {error}")
        return Entry.of(account, file)

    def _accounts(self, table: str, rows: pa.Table) -> list[bytes]:
        """The accounts of these rows of a table's manifest, which may have been written anew since."""
        now = read_manifest(self.storage, table, ["shard", "account"])
        accounts = dict(zip(now["shard"].to_pylist(), now["account"].to_pylist(), strict=True))
        columns = (rows[name].to_pylist() for name in ("shard", "fingerprint", "content"))
        return [
            account if _is_of(account := accounts.get(shard, b""), *facts) else self._read_again(table, shard)
            for shard, *facts in zip(*columns, strict=True)
        ]

    def _read_again(self, table: str, shard: int) -> bytes:
        path = self.sidecar_path(table, shard)
        try:
            account = self.storage.read(path)
            Sidecar.from_bytes(account)
        except (FileNotFoundError, ValueError) as error:
            raise RunError(
                f"{self.uri}/{path} changed while the folder was read; give the same command again"
            ) from error
        return account


def _is_of(account: bytes, fingerprint: str, content: str) -> bool:
    """Whether an account is that of a shard."""
    try:
        found = Sidecar.from_bytes(account)
    except ValueError:
        return False
    return (found.fingerprint, found.content) == (fingerprint, content)


def open_storage(uri: str | os.PathLike[str]) -> Storage:
    """The storage for a local path or a URI (`file://`, `s3://`, `memory://`, any fsspec scheme)."""
    uri = os.fspath(uri)
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    if "://" in uri:
        return ObjectStorage(uri)
    return LocalStorage(uri)


def _parts(names: Iterable[str]) -> set[int]:
    stems = {name.removesuffix(".parquet").removesuffix(".json") for name in names}
    return {int(stem[5:]) for stem in stems if stem.startswith("part-") and stem[5:].isdigit()}
