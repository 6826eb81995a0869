"""What a prior may be taught from: claims or gold of a run, a dataset's relations, a benchmark's pairs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from relforge.data.hoi_sources import HOI_FORMATS, read_hoi
from relforge.data.source_tables import read_source
from relforge.data.sources import read_table
from relforge.stages.ground.pairs import read_alternatives
from relforge.stages.ground.words import predicate_keys
from relforge.trainer.ground.fit import Lesson
from relforge.trainer.ground.gold import expand_gold, tables_of

RELATIONS = ("claims", "gold")
RUN_OPTIONS = {"run", "relations"}


def read_lesson(part: Mapping[str, Any], without: Collection[str] = ()) -> Lesson:
    """Read one source.

    Args:
        part: `{run: FOLDER, relations: claims|gold}` (claims by default), `{format: hico, ...}`, `vcoco` or
            `open_images` as in a recipe's `data`, or `{format: visual_genome, ...}` with the options of that
            ingest adapter.
        without: predicates whose claims are left out, in lemmas.

    Raises:
        ValueError: an unknown option, or nothing to read.
        OSError: a file cannot be read.
    """
    relations = part.get("relations", "claims" if "run" in part else "gold")
    if "run" in part and relations not in RELATIONS:
        raise ValueError(f"relations: {relations!r} is not `claims` or `gold`")
    if "run" in part and relations == "claims":
        tables, right = _read_run(part, "candidates"), None
    else:
        tables = read_gold(part)
        tables["candidates"], right = expand_gold(tables)
    candidates = tables["candidates"].combine_chunks()
    if without:
        wanted = [not set(without) & set(predicate_keys(one)) for one in candidates["predicate"].to_pylist()]
        candidates = candidates.filter(pa.array(wanted))
        right = None if right is None else right[np.array(wanted, bool)]
    return Lesson(read_alternatives(candidates, tables["boxes"], tables["images"]), right)


def read_gold(part: Mapping[str, Any]) -> dict[str, pa.Table]:
    """`images`, `boxes` and `gold` of one source.

    Args:
        part: as in `read_lesson`.

    Raises:
        ValueError, OSError: as `read_lesson`; or there is no gold.
    """
    if "run" in part:
        tables = _read_run(part, "gold")
    elif part.get("format") in HOI_FORMATS:
        tables = tables_of(read_hoi(part))
    elif "format" in part:
        options = {name: value for name, value in part.items() if name != "format"}
        shards = list(read_source(part["format"], options, Counter()))
        tables = {
            name: pa.concat_tables([shard[name] for shard in shards]) for name in ("images", "boxes", "gold")
        }
    else:
        raise ValueError(f"give `run` or `format`, found {sorted(part)}")
    if not tables["gold"].num_rows:
        raise ValueError(f"{part.get('run') or part['format']} has no gold relations")
    return tables


def _read_run(part: Mapping[str, Any], table: str) -> dict[str, pa.Table]:
    if unknown := sorted(set(part) - RUN_OPTIONS):
        raise ValueError(f"{part['run']}: unknown option {unknown[0]}; use relations: claims|gold")
    unread = ("bytes", "caption_ids", "triplet_ids")
    return {name: read_table(part["run"], name, without=unread) for name in ("images", "boxes", table)}


def hash_lesson(lesson: Lesson) -> str:
    """SHA-256 of the boxes, claims, texts and labels, for the card."""
    found = hashlib.sha256()
    pairs = lesson.pairs
    for values in (pairs.subject, pairs.object, pairs.claim, pairs.support):
        found.update(np.ascontiguousarray(values).tobytes())
    found.update("\n".join(pairs.predicate).encode())
    if lesson.right is not None:
        found.update(lesson.right.tobytes())
    return found.hexdigest()
