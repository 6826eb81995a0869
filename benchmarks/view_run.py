"""A run of any size for `view.py`: photographs with boxes, captions, relations and gold, all made up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job, SourceSpec, StageSpec
from relforge.stages.account import Account
from relforge.stages.contract import StageResult
from relforge.stages.tables import empty

BOXES, CAPTIONS, RELATIONS, GOLD = 7, 5, 10, 8
"""Of an image, about as COCO with a run of BLIP has them."""
WIDTH, HEIGHT = 640, 480
_FILES = 200
"""Different photographs; larger runs show each more than once."""
_CLASSES = [f"class {number:02d}" for number in range(80)]
_PREDICATES = ["riding", "holding", "next to", "wearing", "under", *(f"predicate {n:02d}" for n in range(45))]


def write_photos(folder: Path) -> None:
    """JPEG files with the entropy of photographs: smooth noise at several scales."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for number in range(_FILES):
        path = folder / f"{number:04d}.jpg"
        if not path.exists():
            layers = [random.integers(0, 256, (HEIGHT // s, WIDTH // s, 3), np.uint8) for s in (80, 20, 4)]
            large = [Image.fromarray(one).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for one in layers]
            mixed = Image.blend(Image.blend(large[0], large[1], 0.4), large[2], 0.25)
            mixed.save(path, quality=90)


def write_run(folder: Path, images: int) -> Path:
    """The run folder; not made again where it is complete.

    Raises:
        RuntimeError: it is not complete.
    """
    write_photos(folder / "photos")
    source = SourceSpec("view_run:Photos", {"images": images, "photos": str(folder / "photos")})
    stages = (StageSpec("caption", "view_run:Captions"), StageSpec("relate", "view_run:Relations"))
    job = Job(
        folder=str(folder / f"run-{images}"),
        dataset="photos",
        source=source,
        stages=stages,
        shard_images=1000,
    )
    done = run(job, executor="loop")
    if done.outcome != Outcome.COMPLETE:
        raise RuntimeError(f"{job.folder}: {done.message}")
    return Path(job.folder)


def _of(images: Sequence[str], each: int) -> dict[str, Any]:
    """The image ids of `each` rows an image, and a generator of numbers that these images always have."""
    return {"image_id": np.repeat(np.array(images), each)}


def make_random(images: Sequence[str], salt: int) -> np.random.Generator:
    return np.random.default_rng([int(images[0]), salt])


def draw_pairs(images: Sequence[str], each: int, salt: int) -> dict[str, Any]:
    """Pairs of boxes and a predicate, each pair of an image once."""
    random, count = make_random(images, salt), len(images)
    ranked = random.permuted(np.tile(np.arange(BOXES * (BOXES - 1)), (count, 1)), axis=1)[:, :each].ravel()
    subject, other = ranked // (BOXES - 1), ranked % (BOXES - 1)
    names = np.array(_PREDICATES)[np.minimum(random.geometric(0.15, count * each), len(_PREDICATES)) - 1]
    ends = {"subject_box": subject, "object_box": other + (other >= subject)}
    return _of(images, each) | ends | {"predicate": names}


def make_table(name: str, columns: Mapping[str, Any], rows: int) -> pa.Table:
    schema = empty(name).schema
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


class Photos:
    """Args:
    images: how many.
    photos: folder of `write_photos`.
    gold: whether the source knows relations.
    """

    name, version = "photos", 1

    def __init__(self, images: int, photos: str, gold: bool = True) -> None:
        self.images, self.photos, self.gold = images, photos, gold

    def files(self) -> Sequence[str]:
        return ()

    def shards(self, shard_images: int) -> Iterator[StageResult]:
        for first in range(0, self.images, shard_images):
            numbers = range(first, min(first + shard_images, self.images))
            yield self._shard([str(number + 1) for number in numbers])

    def _shard(self, ids: list[str]) -> StageResult:
        random, count = make_random(ids, 0), len(ids)
        files = [f"{self.photos}/{int(one) % _FILES:04d}.jpg" for one in ids]
        images: dict[str, Any] = {
            "image_id": ids,
            "dataset": ["photos"] * count,
            "split": ["train"] * count,
            "uri": files,
        }
        images |= {"width": [WIDTH] * count, "height": [HEIGHT] * count}
        corner = random.uniform(0, 0.6, (count * BOXES, 2)) * (WIDTH, HEIGHT)
        size = random.uniform(0.1, 0.4, (count * BOXES, 2)) * (WIDTH, HEIGHT)
        boxes = _of(ids, BOXES) | {"box_id": np.tile(np.arange(BOXES), count)}
        boxes |= {"category": np.array(_CLASSES)[random.integers(0, len(_CLASSES), count * BOXES)]}
        boxes |= {"x": corner[:, 0], "y": corner[:, 1], "w": size[:, 0], "h": size[:, 1]}
        boxes |= {"iscrowd": np.zeros(count * BOXES, bool), "source_id": np.arange(count * BOXES).astype(str)}
        tables = {
            "images": make_table("images", images, count),
            "boxes": make_table("boxes", boxes, count * BOXES),
            # the first pairs are those of `Relations`, so that half of its relations are right
            "gold": make_table("gold", _gold(ids), count * GOLD) if self.gold else empty("gold"),
        }
        rows = count * (1 + BOXES) + tables["gold"].num_rows
        return StageResult(tables, kept=rows, notes={"rows_in": rows})


def _gold(ids: Sequence[str]) -> dict[str, Any]:
    found = draw_pairs(ids, RELATIONS, 2)
    keep = np.arange(len(ids) * RELATIONS) % RELATIONS < GOLD
    gold = {name: values[keep] for name, values in found.items()}
    wrong = np.arange(len(ids) * GOLD) % GOLD >= GOLD // 2
    gold["predicate"] = np.where(wrong, "behind", gold["predicate"])
    return gold


class Stage:
    """What the stages of a made-up run have in common."""

    version = 1

    def files(self) -> Sequence[str]:
        return ()

    def setup(self) -> None:
        """Nothing to load."""


class Captions(Stage):
    """Five captions an image."""

    name, inputs, outputs = "caption", ("images",), ("captions",)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        ids = tables["images"]["image_id"].to_pylist()
        account = Account()
        account.keep(len(ids))
        rows = len(ids) * CAPTIONS
        columns = _of(ids, CAPTIONS) | {"caption_id": np.tile(np.arange(CAPTIONS), len(ids))}
        columns |= {
            "text": ["a person riding a horse next to a wooden fence"] * rows,
            "source": ["made"] * rows,
        }
        return account.result({"captions": make_table("captions", columns, rows)})


class Relations(Stage):
    """Ten scored relations an image."""

    name, inputs, outputs = "relate", ("images", "captions"), ("relations",)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        ids = tables["images"]["image_id"].to_pylist()
        account = Account()
        account.keep(len(ids))
        rows = len(ids) * RELATIONS
        columns = draw_pairs(ids, RELATIONS, 2)
        random = make_random(ids, 3)
        columns |= {"position": np.zeros(rows, int), "support": random.integers(1, 6, rows)}
        columns |= {"caption_ids": [[0]] * rows, "triplet_ids": [[]] * rows, "rule": ["head|head"] * rows}
        columns |= {"claim_id": np.zeros(rows, int), "alternatives": np.ones(rows, int)}
        columns |= {"score": random.random(rows), "tagger": ["made"] * rows}
        columns["relation_id"] = [f"{number:016x}" for number in range(rows)]
        return account.result({"relations": make_table("relations", columns, rows)})
