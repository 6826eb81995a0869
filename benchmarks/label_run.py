"""A run of any size with every table between captions and relations, for `label_tools.py`.

Images, boxes, gold and captions are those of `view_run.py`. Ten triplets an image name the classes of ten of
its pairs, so that matching and selecting, which are the real stages, come to about ten relations an image, of
which the gold has under half.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from view_run import BOXES, CAPTIONS, RELATIONS, Stage, draw_pairs, make_random, make_table, write_photos

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job, SourceSpec, StageSpec
from relforge.stages.account import Account
from relforge.stages.contract import StageResult

THRESHOLD = 0.05


def write_label_run(folder: Path, name: str, images: int, gold: bool = True, salt: int = 0) -> Path:
    """The run folder; not made again where it is complete.

    Args:
        name: of the run folder within `folder`.
        gold: whether the source knows relations.
        salt: runs of one salt have the same scores.

    Raises:
        RuntimeError: it is not complete.
    """
    write_photos(folder / "photos")
    options = {"images": images, "photos": str(folder / "photos"), "gold": gold}
    stages = (
        StageSpec("caption", "view_run:Captions"),
        StageSpec("parse", "label_run:Triplets"),
        StageSpec("match", "synonyms"),
        StageSpec("tag", "label_run:Scores", {"salt": salt}),
        StageSpec("select", "select", {"threshold": THRESHOLD}),
    )
    source = SourceSpec("view_run:Photos", options)
    job = Job(folder=str(folder / name), dataset="photos", source=source, stages=stages, shard_images=1000)
    done = run(job, executor="loop")
    if done.outcome != Outcome.COMPLETE:
        raise RuntimeError(f"{job.folder}: {done.message}")
    return Path(job.folder)


class Triplets(Stage):
    """Two triplets a caption: the classes of two pairs, and the predicate of these pairs' gold."""

    name, inputs, outputs = "parse", ("captions", "boxes"), ("triplets",)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        ids = pc.unique(tables["captions"]["image_id"]).to_pylist()
        category = tables["boxes"]["category"].to_numpy(zero_copy_only=False).reshape(len(ids), BOXES)
        pairs, rows, of_caption = draw_pairs(ids, RELATIONS, 2), len(ids) * RELATIONS, RELATIONS // CAPTIONS
        image, place = np.arange(rows) // RELATIONS, np.arange(rows) % RELATIONS
        columns: dict[str, Any] = {"image_id": pairs["image_id"], "caption_id": place // of_caption}
        columns |= {"triplet_id": place % of_caption, "parser": ["made"] * rows}
        columns |= {"predicate": pairs["predicate"], "predicate_lemma": pairs["predicate"]}
        for end in ("subject", "object"):
            named = category[image, pairs[f"{end}_box"]]
            columns |= {end: named, f"{end}_head": named, f"{end}_lemma": named}
        account = Account()
        account.keep(tables["captions"].num_rows)
        return account.result({"triplets": make_table("triplets", columns, rows)})


class Scores(Stage):
    """Any score at all.

    Args:
        salt: of the random numbers.
    """

    name, inputs, outputs = "tag", ("candidates",), ("scores",)

    def __init__(self, salt: int = 0) -> None:
        self.salt = salt

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        candidates = tables["candidates"]
        rows = candidates.num_rows
        account = Account()
        account.keep(rows)
        columns = {name: candidates[name].combine_chunks() for name in candidates.column_names}
        columns["score"] = make_random([candidates["image_id"][0].as_py()], 3 + self.salt).random(rows)
        columns["tagger"] = ["made"] * rows
        return account.result({"scores": make_table("scores", columns, rows)})
