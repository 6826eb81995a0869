"""The laboratory's images: drawn once per work folder, read through the Visual Genome adapter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from relforge.demo.world.compose import LOOK_ALIKES_SHARE
from relforge.demo.world.dataset import write_split
from relforge.stages.registry import build_source

SIZE = 96
"""Longer side of every image, pixels."""

Tables = dict[str, pa.Table]


@dataclass(frozen=True)
class World:
    """Splits of the drawn world in a work folder.

    Args:
        work: folder that keeps images, trained models and labels between calls.
        gold: images with complete gold relations, for every model that learns from gold.
        labelled: images with boxes and captions, to be labelled; their gold only scores.
        evaluated: the first of them, which the experiments on labels use.
        hoi: images of the downstream benchmark.
        size, seed, look_alikes: of the images, see `demo.world.dataset.write_split`.
    """

    work: Path
    gold: int = 500
    labelled: int = 1000
    evaluated: int = 300
    hoi: int = 300
    size: int = SIZE
    seed: int = 0
    look_alikes: float = LOOK_ALIKES_SHARE

    def folder(self, split: str) -> Path:
        """The split's folder, drawn on first use."""
        counts = {"vg-like": self.gold, "detection": self.labelled, "hoi": self.hoi}
        drawn = (self.size, self.seed, self.look_alikes)
        named = "" if drawn == (SIZE, 0, 0.0) else "-{}-{}-{:g}".format(*drawn)
        parent = self.work / f"world-{counts[split]}{named}"
        if not (parent / split / "scene_graphs.json").exists():
            write_split(parent, split, counts[split], self.seed, self.size, self.look_alikes)
        return parent / split

    def source(self, split: str) -> dict[str, Any]:
        """The split as an entry of a recipe's `data`, and as the Visual Genome adapter reads it."""
        return _source(self.folder(split))

    def tables(self, split: str) -> Tables:
        """`images`, `boxes` and `gold` of a split."""
        return _tables(**self.source(split))

    def evaluated_tables(self) -> Tables:
        """The same of the images whose labels are evaluated."""
        return first_images(self.tables("detection"), self.evaluated)


def read_split(folder: Path) -> Tables:
    """`images`, `boxes` and `gold` of a split that was drawn before."""
    return _tables(**_source(folder))


def _source(folder: Path) -> dict[str, Any]:
    return {
        "format": "visual_genome",
        "annotations": str(folder / "scene_graphs.json"),
        "images": str(folder / "images" / "{image_id:0>6}.jpg"),
    }


def first_images(tables: Tables, count: int) -> Tables:
    """Rows of the images numbered 1 to `count`."""
    wanted = pa.array([str(number + 1) for number in range(count)])
    return {name: table.filter(pc.is_in(table["image_id"], wanted)) for name, table in tables.items()}


@cache
def _tables(format: str, **options: Any) -> Tables:
    parts = list(build_source(format, **options).shards(10**6))
    return {name: pa.concat_tables([p.tables[name] for p in parts]) for name in ("images", "boxes", "gold")}
