"""The tables of another run, as a stage reads them: files, one after the other."""

from __future__ import annotations

from pyarrow import fs


def open_filesystem(folder: str) -> tuple[fs.FileSystem, str]:
    """Where a path or URI is, and its path there."""
    return fs.FileSystem.from_uri(folder) if "://" in folder else (fs.LocalFileSystem(), folder)


def list_shards(folder: str, table: str) -> list[str]:
    """Paths or URIs of a table's shards in a run folder, sorted; none where it has no such table."""
    filesystem, path = open_filesystem(folder)
    selector = fs.FileSelector(f"{path}/{table}", allow_not_found=True)
    names = sorted(one.base_name for one in filesystem.get_file_info(selector))
    return [f"{folder.rstrip('/')}/{table}/{name}" for name in names if name.endswith(".parquet")]
