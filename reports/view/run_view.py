"""What the image page shows of a run, read a part at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from relforge.images.decode import MAX_PIXELS
from relforge.pipeline.errors import RunError
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.store.run_folder import RunFolder
from relforge.reports.datasets import Datasets, open_datasets
from relforge.reports.matching import find_images
from relforge.reports.query import connect, quote, quote_all, select
from relforge.reports.view.against import merge_scenes
from relforge.reports.view.choose import choose_rows, reading_order
from relforge.reports.view.evidence import ROLES
from relforge.reports.view.index import index_run
from relforge.reports.view.scene import describe_image
from relforge.reports.view.thumbnail import pack_image, shrink_image
from relforge.stages.tables import empty

SHOWN = ("relations", "scores", "proposed", "candidates")
_FACTS = ("boxes", "captions", "triplets", "gold", *SHOWN)
_PAIR = ("image_id", "subject_box", "object_box", "predicate")
_SPANS = tuple(f"{role}_{edge}" for role in ROLES for edge in ("start", "end"))
_READ = {
    "captions": ("image_id", "caption_id", "text"),
    "triplets": ("image_id", "caption_id", "triplet_id", *_SPANS),
    "gold": _PAIR,
    "scores": (*_PAIR, "score"),
    "proposed": _PAIR,
    "candidates": _PAIR,
}
_READ_SHOWN = (*_PAIR, "score", "quality", "support", "rule", "caption_ids", "triplet_ids")
"""Columns that `describe_image` reads, of the table that is shown and of others; of tables not named, all."""
CHUNK = 64
"""Images whose facts are read together; all of one shard."""
_KEPT = 32
"""Chunks that stay in memory."""


class RunView:
    """Images of a run, or of two runs beside each other.

    Args:
        run: the run folder.
        against: a second run of the same images; images whose boxes differ are left out.
        max_images: how many images, drawn by `choose`; None: all.
        only: these images instead.
        where: a condition on rows of the table shown; images without such a row are not drawn from.

    Raises:
        RunError: not a run folder, nothing ingested, an image the run does not have, no image that `where`
            holds for, or none that both runs have.
        QueryError: `where` is no condition.
    """

    def __init__(
        self,
        run: str,
        against: str | None = None,
        max_images: int | None = None,
        only: Sequence[str] = (),
        where: str | None = None,
    ) -> None:
        self._tables = [_Tables(one) for one in (run, against) if one is not None]
        first = self._tables[0]
        self.run, self.against = run, against
        self.shown, self.gold = first.shown, first.gold
        self.images, self.total = self._choose(max_images, only, where)
        self.scenes = lru_cache(_KEPT)(self._scenes)

    @property
    def chunks(self) -> int:
        """How many there are; `scenes(n)` reads one."""
        return len(self._chunks)

    def head(self) -> dict[str, Any]:
        """What the page says of the run as a whole."""
        named = {} if self.against is None else {"against": self.against}
        return {
            "run": self.run,
            **named,
            "dataset": self._tables[0].job.dataset,
            "shown": self.shown,
            "measure": "quality" if all(one.learned for one in self._tables) else "score",
            "gold": self.gold,
            "total": self.total,
            "left_out": self.total - len(self.images),
        }

    def index(self) -> dict[str, Any]:
        """See `index`; with `chunk` and `at`: where an image's facts are."""
        first, *rest = self._tables
        if rest:
            first.connection.register("relations_of_b", rest[0].datasets[rest[0].shown])
        name = "relations_of_b" if rest else ""
        index = index_run(first.connection, self.images, first.shown, first.gold, name)
        places = [self._places[one] for one in self.images]
        return {**index, "chunk": [one[0] for one in places], "at": [one[1] for one in places]}

    def _scenes(self, chunk: int) -> list[dict[str, Any]]:
        """The images of a chunk, see `scene.describe_image`."""
        ids = self._chunks[chunk]
        return self._merge([one.describe_chunk(ids, self.gold) for one in self._tables])

    def describe(self) -> list[dict[str, Any]]:
        """The same of all images at once, each table read once: for as many as one page holds."""
        return self._merge([one.describe(self.images, self.gold) for one in self._tables])

    def _merge(self, described: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        if len(described) == 1:
            return described[0]
        return [merge_scenes(a, b) for a, b in zip(*described, strict=True)]

    def encode(self, image_id: str, longer_side: int) -> tuple[bytes | None, str]:
        """A JPEG, or None and the reason why there is none.

        Args:
            longer_side: largest number of pixels of a side.
        """
        image, reason = self.shrink(image_id, longer_side)
        return (None, reason) if image is None else (pack_image(image), "")

    def shrink(self, image_id: str, longer_side: int) -> tuple[Image.Image | None, str]:
        """The same without being packed."""
        return self._tables[0].shrink(image_id, longer_side)

    def _choose(self, count: int | None, only: Sequence[str], where: str | None) -> tuple[list[str], int]:
        first = self._tables[0]
        known = "images" if self.against is None else self._write_shared()
        total = first.count(known)
        if only:
            there = set(first.column(f"SELECT image_id FROM {known} WHERE image_id IN {quote_all(only)}"))
            if unknown := [one for one in only if one not in there]:
                raise RunError(
                    f"--image {unknown[0]}: no such image in {self.run}; "
                    f"relforge inspect {self.run} --table images lists them"
                )
            return sorted(set(only), key=reading_order), total
        if where is not None:
            first.connection.register("matching", pa.table({"image_id": pa.array(first.matching(where))}))
            known = f"(SELECT image_id FROM {known} SEMI JOIN matching USING (image_id))"
            total = first.count(known)
        if count is None or count >= total:
            return sorted(first.column(f"SELECT image_id FROM {known}"), key=reading_order), total
        return choose_rows(first.connection, known, first.informative(), count), total

    def _write_shared(self) -> str:
        """The table of images with the same boxes in both runs."""
        first, second = self._tables
        first.connection.register("images_of_b", second.datasets["images"])
        first.connection.register("boxes_of_b", second.datasets["boxes"])
        columns = "image_id, box_id, category, x, y, w, h"
        first.connection.execute(
            f"""CREATE TEMP TABLE shared AS
            WITH a AS (SELECT {columns} FROM boxes), b AS (SELECT {columns} FROM boxes_of_b),
                differing AS ((FROM a EXCEPT FROM b) UNION (FROM b EXCEPT FROM a))
            SELECT image_id FROM images SEMI JOIN images_of_b USING (image_id)
                ANTI JOIN differing USING (image_id)"""
        )
        if not first.count("shared"):
            raise RunError(f"{self.run} and {self.against} have no image in common with the same boxes")
        return "shared"

    @cached_property
    def _chunks(self) -> list[list[str]]:
        """Images by chunk. Those of a chunk are of one shard, since a shard is read whole."""
        chunks = []
        for table in self._tables:
            table.find_shards(self.images)
        for ids in self._tables[0].by_shard():
            kept = sorted(ids, key=reading_order)
            for first in range(0, len(kept), CHUNK):
                chunks.append(kept[first : first + CHUNK])
        return chunks

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """The chunk of an image, and its place there."""
        return {
            one: (number, place) for number, ids in enumerate(self._chunks) for place, one in enumerate(ids)
        }


class _Tables:
    """The tables of one run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.job = load_plan(RunFolder(run)).job
        self.datasets: Datasets = open_datasets(run)[0]
        if "images" not in self.datasets:
            raise RunError(f"{run} holds no images yet; let relforge run ingest them first")
        self.connection: duckdb.DuckDBPyConnection = connect(self.datasets, direct=True)
        self.shown = next((name for name in SHOWN if name in self.datasets), SHOWN[0])
        if self.shown not in self.datasets:
            self.connection.register(self.shown, empty(self.shown))
        there = self.datasets.get(self.shown)
        self.learned = there is not None and "quality" in there.schema.names
        self.gold = "gold" in self.datasets and self.count("gold") > 0
        self._fragments = {
            name: {fragment.path.rpartition("/")[2]: fragment for fragment in dataset.get_fragments()}
            for name, dataset in self.datasets.items()
            if name in ("images", *_FACTS)
        }
        self._shard_of: dict[str, str] = {}
        self._described: dict[str, dict[str, Any]] = {}

    def informative(self) -> list[str]:
        """Tables that say which images have relations or gold."""
        return [name for name in (self.shown, "gold") if name in self.datasets]

    def matching(self, where: str) -> list[str]:
        if self.shown not in self.datasets:
            raise RunError(
                f"{self.run} has no {self.shown} yet, so there is nothing for --where to choose from"
            )
        if images := find_images(connect(self.datasets), self.datasets, self.shown, where):
            return images
        raise RunError(
            f"no row of {self.shown} in {self.run} is one where {where!r} holds; "
            "relforge inspect shows its rows"
        )

    def by_shard(self) -> list[list[str]]:
        """Image ids, a list for each shard."""
        found: dict[str, list[str]] = defaultdict(list)
        for image, shard in self._shard_of.items():
            found[shard].append(image)
        return [found[shard] for shard in sorted(found)]

    def describe_chunk(self, ids: Sequence[str], gold: bool) -> list[dict[str, Any]]:
        """Facts of images of one shard, in their order."""
        return self._describe(ids, gold, {name: self._rows(name, ids) for name in self._facts})

    def describe(self, ids: Sequence[str], gold: bool) -> list[dict[str, Any]]:
        """The same of any images."""
        rows = {name: self._select(name, ids) for name in self._facts}
        if self._embedded:
            self.find_shards(ids)
        else:  # the rows have all that there is of the pixels
            self._described = {row["image_id"]: row | {"bytes": None} for row in rows["images"]}
        return self._describe(ids, gold, rows)

    @property
    def _facts(self) -> list[str]:
        """Tables that are read; those before the one shown say why gold is missed."""
        names = _FACTS if self.gold else (*_FACTS[: -len(SHOWN)], self.shown)
        return ["images", *(name for name in names if name in self._fragments)]

    def _describe(
        self, ids: Sequence[str], gold: bool, tables: Mapping[str, Iterable[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for name, of_table in tables.items():
            for row in of_table:
                rows[row["image_id"]][name].append(row)
        return [
            describe_image(rows[one]["images"][0], rows[one], self.shown, gold, self.learned) for one in ids
        ]

    def _select(self, name: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of some images of one table, in the table's order."""
        columns = ", ".join(map(quote, self._columns(name)))
        sql = f"SELECT {columns} FROM {name} WHERE image_id IN {quote_all(ids)}"  # a join may turn the rows
        return select(self.connection, sql).to_pylist() if ids else []

    @cached_property
    def _embedded(self) -> bool:
        """Whether the table of images may hold pixels, so that a row of it is read for one image alone."""
        for fragment in self._fragments["images"].values():
            for group in (fragment.metadata.row_group(at) for at in range(fragment.metadata.num_row_groups)):
                columns = (group.column(at) for at in range(group.num_columns))
                statistics = next((one.statistics for one in columns if one.path_in_schema == "bytes"), None)
                if statistics is None or statistics.null_count != group.num_rows:
                    return True
        return False

    def shrink(self, image_id: str, longer_side: int) -> tuple[Image.Image | None, str]:
        row = self._described.get(image_id) or self._rows("images", [image_id], pixels=True)[0]
        written = self.job.config.get("dataset", {})
        orientation, max_pixels = written.get("orientation"), written.get("max_pixels", MAX_PIXELS)
        size = (row["width"], row["height"])
        return shrink_image(row["uri"], row["bytes"], size, max_pixels, orientation, longer_side)

    def _rows(self, name: str, ids: Sequence[str], pixels: bool = False) -> list[dict[str, Any]]:
        """Rows of some images of one table, in the table's order."""
        schema: pa.Schema = self.datasets[name].schema
        columns = [*self._columns(name), *(["bytes"] if pixels else [])]
        self.find_shards(ids)
        rows: list[dict[str, Any]] = []
        for shard in sorted({self._shard_of[one] for one in ids}):
            if fragment := self._fragments[name].get(shard):
                chosen = pc.field("image_id").isin(list(ids))
                rows += fragment.to_table(schema=schema, columns=columns, filter=chosen).to_pylist()
        return rows

    def _columns(self, name: str) -> list[str]:
        """Those that are read of a table; `bytes` is not among them."""
        names: list[str] = self.datasets[name].schema.names
        read = _READ_SHOWN if name == self.shown else _READ.get(name, names)
        return [one for one in names if one in read and one != "bytes"]

    def find_shards(self, images: Sequence[str]) -> None:
        """Which shards these images are in. A shard is the same set of images in every table."""
        if all(one in self._shard_of for one in images):
            return
        chosen = pa.array(images, pa.string())
        for shard, fragment in self._fragments["images"].items():
            ids = fragment.to_table(columns=["image_id"])["image_id"]
            self._shard_of |= dict.fromkeys(ids.filter(pc.is_in(ids, value_set=chosen)).to_pylist(), shard)

    def count(self, rows: str) -> int:
        """Rows of a table or sub-query."""
        return int(select(self.connection, f"SELECT count(*) AS n FROM {rows}")["n"][0].as_py())

    def column(self, sql: str) -> list[str]:
        values: list[str] = select(self.connection, sql).column(0).to_pylist()
        return values
