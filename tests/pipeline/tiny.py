"""A small job of quick stages, for tests of the machinery around stages.

Every image of the source has boxes and a caption made from its number; the stages pass simple facts on.
Some images misbehave on request, so that tests can see what the pipeline does about it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from relforge.pipeline.job import Job, Limits, Resources, SourceSpec, StageSpec
from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.tables import empty

HERE = str(Path(__file__).resolve().parent)


class TinySource:
    """Images 0..n-1 from a JSON file `{"images": n, "bad": [..]}`; bad ones have a broken box."""

    name, version = "tiny", 1

    def __init__(self, path: str, payload: int = 0) -> None:
        self.path, self.payload = path, payload

    def files(self) -> Sequence[str]:
        return [self.path]

    def shards(self, shard_images: int) -> Iterator[StageResult]:
        facts = json.loads(Path(self.path).read_text())
        bad = set(facts.get("bad", []))
        for first in range(0, facts["images"], shard_images):
            yield self._shard(range(first, min(first + shard_images, facts["images"])), bad)

    def _shard(self, images: range, bad: set[int]) -> StageResult:
        boxes = [(i, b) for i in images for b in range(2)]
        good = [(i, b) for i, b in boxes if not (i in bad and b == 1)]
        quarantined = [
            Quarantined({"image_id": _id(i), "box_id": b}, "zero_area_box")
            for i, b in boxes
            if i in bad and b == 1
        ]
        return StageResult(
            tables={"images": self._images(images), "boxes": _boxes(good), "gold": empty("gold")},
            kept=len(images) + len(good),
            quarantined=quarantined,
            notes={"rows_in": len(images) + len(boxes)},
        )

    def _images(self, images: range) -> pa.Table:
        rows = [
            {
                "image_id": _id(i),
                "dataset": "tiny",
                "split": "train",
                "uri": None,
                "width": 10,
                "height": 10,
                "bytes": i.to_bytes(4, "big") * (self.payload // 4) or None,
            }
            for i in images
        ]
        return pa.Table.from_pylist(rows, schema=empty("images").schema)


class TinyCaption:
    """`caption of 00007` for every image.

    Args:
        word: what the captions begin with; a harmless change of config.
        dropped, quarantined, raising: image numbers that are dropped, set aside, or raise.
        dictionary: a file whose content goes into the captions.
        wait: seconds per shard.
        note_pid: a folder where every process leaves its id at each shard.
        word_from: a module with a WORD to use instead.
    """

    name, version = "caption", 1
    inputs, outputs = ("images",), ("captions",)
    neutral_options = ("wait", "note_pid")

    def __init__(
        self,
        word: str = "caption",
        dropped: Sequence[int] = (),
        quarantined: Sequence[int] = (),
        raising: Sequence[int] = (),
        dictionary: str | None = None,
        wait: float = 0.0,
        note_pid: str | None = None,
        word_from: str | None = None,
    ) -> None:
        self.word, self.dictionary, self.wait, self.note_pid = word, dictionary, wait, note_pid
        self.word_from = word_from
        self.dropped, self.quarantined, self.raising = set(dropped), set(quarantined), set(raising)

    def files(self) -> Sequence[str]:
        return [self.dictionary] if self.dictionary else []

    def setup(self) -> None:
        if self.word_from:
            self.word = import_module(self.word_from).WORD
        self.extra = Path(self.dictionary).read_text().strip() if self.dictionary else ""

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        images = tables["images"]["image_id"].to_pylist()
        if self.note_pid:
            Path(self.note_pid, f"{self.name}-{int(images[0]):05d}-{os.getpid()}").touch()
        time.sleep(self.wait)
        if bad := [i for i in images if int(i) in self.raising]:
            raise KeyError(f"no word for image {bad[0]}")
        quarantined = [Quarantined({"image_id": i}, "too_dark") for i in images if int(i) in self.quarantined]
        left = [i for i in images if int(i) not in self.quarantined | self.dropped]
        rows = [
            {
                "image_id": i,
                "caption_id": 0,
                "text": f"{self.word} of {i} {self.extra}".strip(),
                "source": "tiny",
                "seed": None,
                "logprob": None,
            }
            for i in left
        ]
        dropped = len(images) - len(left) - len(quarantined)
        table = pa.Table.from_pylist(rows, schema=empty("captions").schema)
        return StageResult({"captions": table}, len(left), {"not_wanted": dropped}, quarantined)


class TinyParse:
    """One triplet per caption; reads captions only."""

    name, version = "parse", 1
    inputs, outputs = ("captions",), ("triplets",)
    neutral_options = ("wait", "note_pid")

    def __init__(self, wait: float = 0.0, note_pid: str | None = None, shout: bool = False) -> None:
        self.wait, self.note_pid, self.shout = wait, note_pid, shout

    def files(self) -> Sequence[str]:
        return []

    def setup(self) -> None:
        pass

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        captions = tables["captions"].to_pylist()
        if self.note_pid and captions:
            Path(self.note_pid, f"{self.name}-{int(captions[0]['image_id']):05d}-{os.getpid()}").touch()
        time.sleep(self.wait)
        blank: dict[str, Any] = dict.fromkeys(empty("triplets").schema.names)
        names = ("subject", "object", "subject_head", "object_head", "subject_lemma", "object_lemma")
        rows = [
            {
                **blank,
                **dict.fromkeys(names, c["text"].split()[0].upper() if self.shout else "thing"),
                "image_id": c["image_id"],
                "caption_id": 0,
                "triplet_id": 0,
                "predicate": "near",
                "predicate_lemma": "near",
                "parser": "tiny",
            }
            for c in captions
        ]
        table = pa.Table.from_pylist(rows, schema=empty("triplets").schema)
        return StageResult({"triplets": table}, len(captions))


class TinyMatch:
    """A candidate per triplet whose image has two boxes; the others are dropped."""

    name, version = "match", 1
    inputs, outputs = ("triplets", "boxes"), ("candidates",)

    def files(self) -> Sequence[str]:
        return []

    def setup(self) -> None:
        pass

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        boxes = tables["boxes"]["image_id"].to_pylist()
        triplets = tables["triplets"].to_pylist()
        pairs = [t for t in triplets if boxes.count(t["image_id"]) == 2]
        rows = [
            {
                "image_id": t["image_id"],
                "subject_box": 0,
                "object_box": 1,
                "predicate": t["predicate"],
                "support": 1,
                "caption_ids": [0],
                "position": 0,
                "rule": "tiny",
            }
            for t in pairs
        ]
        table = pa.Table.from_pylist(rows, schema=empty("candidates").schema)
        return StageResult({"candidates": table}, len(pairs), {"one_box": len(triplets) - len(pairs)})


def tiny_job(
    folder: str | Path,
    source: str | Path,
    *,
    caption: Mapping[str, Any] | None = None,
    parse: Mapping[str, Any] | None = None,
    caption_resources: Resources | None = None,
    shard_images: int = 4,
    limits: Limits | None = None,
    payload: int = 0,
) -> Job:
    """caption -> parse -> match over the tiny source; stages are given out of order on purpose."""
    return Job(
        folder=str(folder),
        dataset="tiny",
        source=SourceSpec("tiny:TinySource", {"path": str(source), "payload": payload}),
        stages=(
            StageSpec("match", "tiny:TinyMatch", {}, Resources(num_cpus=0.5)),
            StageSpec("parse", "tiny:TinyParse", dict(parse or {}), Resources(num_cpus=0.5)),
            StageSpec(
                "caption",
                "tiny:TinyCaption",
                dict(caption or {}),
                caption_resources or Resources(num_cpus=0.5),
            ),
        ),
        shard_images=shard_images,
        limits=limits or Limits(quarantine_rate=0.5),
    )


def _id(image: int) -> str:
    return f"{image:05d}"


def _boxes(boxes: list[tuple[int, int]]) -> pa.Table:
    rows = [
        {
            "image_id": _id(i),
            "box_id": b,
            "category": "thing",
            "x": 0.0,
            "y": 0.0,
            "w": 5.0,
            "h": 5.0,
            "iscrowd": False,
            "source_id": f"{i}-{b}",
        }
        for i, b in boxes
    ]
    return pa.Table.from_pylist(rows, schema=empty("boxes").schema)
