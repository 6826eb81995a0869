"""Output that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec


@contextmanager
def publish(out: str) -> Iterator[Path]:
    """A path to write a file or a folder at; it becomes `out` when the block ends without an exception.

    A local target is written beside its place and renamed over it. A URI is written to local temporary
    storage and uploaded, file by file.

    Raises:
        OSError: the target cannot be written.
    """
    if "://" in out and not out.startswith("file://"):
        with tempfile.TemporaryDirectory(prefix="relforge-export-") as folder:
            staged = Path(folder) / "out"
            yield staged
            filesystem, target = fsspec.core.url_to_fs(out)
            if staged.is_dir():
                for file in sorted(one for one in staged.rglob("*") if one.is_file()):
                    name = file.relative_to(staged).as_posix()
                    filesystem.makedirs(f"{target.rstrip('/')}/{name}".rpartition("/")[0], exist_ok=True)
                    filesystem.put_file(str(file), f"{target.rstrip('/')}/{name}")
            else:
                filesystem.put_file(str(staged), target)
        return
    target_path = Path(out.removeprefix("file://")).absolute()
    target_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target_path.name}.", dir=target_path.parent) as folder:
        staged = Path(folder) / "out"
        yield staged
        if target_path.is_dir():
            if not staged.is_dir():
                raise IsADirectoryError(f"{out} is a folder; give the name of a file")
            target_path.rename(Path(folder) / "old")
        if staged.is_dir():
            shutil.move(staged, target_path)
        else:
            with staged.open("rb") as written:
                os.fsync(written.fileno())
            staged.replace(target_path)
