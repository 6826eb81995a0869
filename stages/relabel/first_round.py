"""The run whose labels a model learnt from: its relations, by image, and its predicates and classes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from relforge.stages.run_tables import list_shards, open_filesystem
from relforge.stages.tag.tagger import Candidate

Relation = tuple[str, int, int, str]
"""(image id, subject box, object box, predicate)."""

_KEYS = ["image_id", "subject_box", "object_box", "predicate"]


class FirstRound:
    """Args:
    folder: run folder of the first round, a path or URI.
    tables: what is read of it: `relations`, and `candidates` where they are scored again.
    dataset, split: of this run; the first round has to be of the same.
    """

    def __init__(
        self, folder: str, tables: Sequence[str], dataset: str | None = None, split: str | None = None
    ) -> None:
        self.folder, self.tables = folder, tuple(tables)
        self._of = (dataset, split)
        self._shards: dict[str, dict[str, str]] = {}

    def files(self) -> list[str]:
        """Every shard that is read.

        Raises:
            FileNotFoundError: there is no such run, or it is not complete.
            ValueError: it is of another dataset or split.
        """
        self._check_dataset()
        images = len(list_shards(self.folder, "images"))
        found = []
        for table in self.tables:
            shards = list_shards(self.folder, table)
            if not shards or len(shards) < images:
                raise FileNotFoundError(
                    f"first_round: {self.folder} has {len(shards)} of {images} shards of `{table}`; finish "
                    "that run with relforge run first"
                )
            found += shards
        return found

    def _check_dataset(self) -> None:
        filesystem, path = open_filesystem(self.folder)
        file = f"{path.rstrip('/')}/run.json"
        if filesystem.get_file_info(file).type != fs.FileType.File:
            raise FileNotFoundError(
                f"first_round: {self.folder} is no run folder; label the dataset with relforge run first"
            )
        with filesystem.open_input_stream(file) as stream:
            try:
                written = json.loads(stream.read())["job"]["config"]["dataset"]
                theirs = (written["name"], written["split"])
            except (ValueError, KeyError, TypeError):
                return  # made by a program: it has no config to compare
        if None not in self._of and theirs != self._of:
            here = " ".join(map(str, self._of))
            raise ValueError(
                f"first_round: {self.folder} labels {' '.join(theirs)}, this run {here}; both rounds have to "
                "be of the same boxes"
            )

    def load(self) -> None:
        """Find out which images each shard has."""
        for table in self.tables:
            owners: dict[str, str] = {}
            for shard in list_shards(self.folder, table):
                for image in pc.unique(_read(shard, ["image_id"])["image_id"]).to_pylist():
                    owners[image] = shard
            self._shards[table] = owners

    def count_predicates(self) -> Counter[str]:
        """Predicate -> its relations."""
        found: Counter[str] = Counter()
        for shard in list_shards(self.folder, "relations"):
            for one in pc.value_counts(_read(shard, ["predicate"])["predicate"]).to_pylist():
                found[one["values"]] += one["counts"]
        return found

    def list_classes(self) -> list[str]:
        """Classes of its boxes and those that its dataset lists, sorted."""
        found: set[str] = set()
        for table in ("boxes", "classes"):
            for shard in list_shards(self.folder, table):
                found.update(pc.unique(_read(shard, ["category"])["category"]).to_pylist())
                if table == "classes":
                    break  # the same rows in every shard
        return sorted(found)

    def relations(self, images: Iterable[str]) -> Mapping[Relation, float]:
        """The relations of these images, each with its score; of several, the best."""
        found: dict[Relation, float] = {}
        for row in self._rows("relations", images, [*_KEYS, "score"]):
            key = (row["image_id"], row["subject_box"], row["object_box"], row["predicate"])
            found[key] = max(row["score"], found.get(key, row["score"]))
        return found

    def candidates(self, images: Iterable[str]) -> dict[str, list[Candidate]]:
        """Image -> its candidates."""
        found: dict[str, list[Candidate]] = {}
        for row in self._rows("candidates", images, [*_KEYS, "position"]):
            one = Candidate(row["subject_box"], row["object_box"], row["predicate"], row["position"])
            found.setdefault(row["image_id"], []).append(one)
        return found

    def _rows(self, table: str, images: Iterable[str], columns: list[str]) -> Iterable[dict[str, Any]]:
        wanted = list(images)
        owners = self._shards[table]
        for shard in sorted({owners[image] for image in wanted if image in owners}):
            rows = _read(shard, columns)
            yield from rows.filter(pc.is_in(rows["image_id"], pa.array(wanted, pa.string()))).to_pylist()


def _read(shard: str, columns: list[str]) -> pa.Table:
    filesystem, path = open_filesystem(shard)
    return pq.read_table(path, columns=columns, filesystem=filesystem)
