"""Cases from the field: a small dataset of people and horses, run through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.cli.conftest import Said, relforge
from tests.fixtures.given_captions import stages_of

__all__ = ["relforge"]


class Case:
    """One dataset of COCO boxes with given captions, and the run of it.

    Args:
        folder: of the dataset and the run.
        call: the command line.
    """

    def __init__(self, folder: Path, call: Callable[..., Said]) -> None:
        self.folder, self._call = folder, call

    def images(self, *file_names: str, first_id: int = 1) -> None:
        """Images of a person and a horse each, ids from 1."""
        ids = range(first_id, first_id + len(file_names))
        size = {"width": 320, "height": 240}
        boxes = {1: [20, 20, 80, 120], 2: [60, 120, 160, 90]}
        self.write(
            "ann.json",
            {
                "images": [
                    {"id": i, "file_name": name, **size} for i, name in zip(ids, file_names, strict=True)
                ],
                "annotations": [
                    {"id": 10 * i + c, "image_id": i, "category_id": c, "bbox": box, "iscrowd": 0}
                    for i in ids
                    for c, box in boxes.items()
                ],
                "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}],
            },
        )

    def write(self, name: str, content: object) -> None:
        """A file of the dataset: bytes and text as they are, anything else as JSON."""
        data = content if isinstance(content, bytes | str) else json.dumps(content)
        (self.folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    def run(self, *overrides: str, captions: str = "captions.json") -> Said:
        """`relforge run` on it, without Ray."""
        config: dict[str, Any] = {
            "dataset": {
                "name": "case",
                "split": "all",
                "format": "coco",
                "annotations": str(self.folder / "ann.json"),
            },
            "run": {"folder": str(self.folder / "run"), "shard_images": 500},
            "stages": stages_of(self.folder / captions),
        }
        config["stages"]["select"] |= {"threshold": 0.0}
        (self.folder / "c.yaml").write_text(yaml.safe_dump(config))
        return self._call("run", self.folder / "c.yaml", *overrides, "--executor", "loop")

    def rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Columns of a table of the run, in order of image."""
        files = self.folder / "run" / table / "*.parquet"
        query = f"SELECT {', '.join(columns)} FROM read_parquet('{files}') ORDER BY ALL"
        return duckdb.sql(query).fetchall()

    def triplets(self) -> list[tuple[str, str, str, str]]:
        """(image id, subject head, predicate, object head) of every triplet."""
        return self.rows("triplets", ("image_id", "subject_head", "predicate", "object_head"))

    def related(self) -> set[str]:
        """Ids of the images that have a relation."""
        return {image for (image,) in self.rows("relations", ("image_id",))}

    def sidecar(self, table: str) -> dict[str, Any]:
        """The sidecar of the table's only shard."""
        (path,) = (self.folder / "run" / "_state" / table).glob("*.json")
        return dict(json.loads(path.read_text()))


@pytest.fixture
def case(tmp_path: Path, relforge: Callable[..., Said]) -> Case:
    return Case(tmp_path, relforge)
