"""Labels of the world's images, stage by stage, and their quality against the gold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laboratory.cache import digest, read_or_make
from laboratory.training import SHORT_SIDE
from laboratory.wording import in_gold_words
from laboratory.world import SIZE, Tables, World
from relforge.demo.world.catalogue import list_synonyms
from relforge.evaluation.labels import compare_labels
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS, conform

ORACLE: dict[str, Any] = {"backend": "oracle"}
"""Five human-like captions of every image."""


def candidates(
    world: World,
    tables: Tables,
    caption: dict[str, Any] = ORACLE,
    match: dict[str, Any] | None = None,
    gold_words: bool = True,
    max_captions: int | None = None,
    **parse: Any,
) -> pa.Table:
    """Candidates of the images of `tables`.

    Args:
        caption: backend and options of the caption stage; `oracle` needs none.
        match: options of the match stage.
        gold_words: replace predicates by the gold's wording, see `wording`.
        max_captions: captions of an image that are used, the first ones; None: all.
        parse: options of the parse stage.
    """
    count = tables["images"].num_rows

    def captions() -> pa.Table:
        files = {"files": str(world.folder("detection") / "captions.json")} if caption == ORACLE else {}
        return _run("caption", {**caption, **files}, tables)["captions"]

    def triplets() -> pa.Table:
        written = read_or_make(world.work, "captions", [caption, count], captions)
        return _run("parse", {"backend": "relforge", **parse}, {"captions": written})["triplets"]

    found = read_or_make(world.work, "triplets", [caption, parse, count], triplets)
    if max_captions is not None:
        found = found.filter(pc.less(found["caption_id"], max_captions))
    if gold_words:
        found = in_gold_words(found)
    options = {"synonyms": [str(_nouns(world))], **(match or {})}
    return _run("match", {"backend": "synonyms", **options}, {**tables, "triplets": found})["candidates"]


def perfect(tables: Tables) -> pa.Table:
    """Candidates of captions that state every gold relation in the gold's words, by class and not by box."""
    class_of = {(row["image_id"], row["box_id"]): row["category"] for row in tables["boxes"].to_pylist()}
    rows = []
    for number, fact in enumerate(tables["gold"].to_pylist()):
        row = dict.fromkeys(SCHEMAS["triplets"].names) | {"image_id": fact["image_id"], "parser": "gold"}
        row |= {"caption_id": 0, "triplet_id": number}
        row["predicate"] = row["predicate_lemma"] = fact["predicate"]
        for end in ("subject", "object"):
            name = class_of[(fact["image_id"], fact[f"{end}_box"])]
            row |= {end: name, f"{end}_head": name, f"{end}_lemma": name}
        rows.append(row)
    triplets = conform("triplets", pa.Table.from_pylist(rows, SCHEMAS["triplets"]))
    return _run("match", {"backend": "synonyms", "synonyms": []}, {**tables, "triplets": triplets})[
        "candidates"
    ]


def scores(world: World, tables: Tables, proposed: pa.Table, model: Path | None, **options: Any) -> pa.Table:
    """Candidates with the scores of an R-Tagger, or where there is none of the greedy rule.

    Args:
        model: the R-Tagger's folder.
        options: of the tag stage.
    """
    if model is None:
        return _run("tag", {"backend": "rule"}, {**tables, "candidates": proposed})["scores"]
    sides = {"short_side": SHORT_SIDE, "long_side": SIZE, "floor": 0.0, "threads": 1}
    stage = {"backend": "rtagger", "model": str(model), **sides, **options}
    boxes = digest([tables["boxes"][side].to_pylist() for side in "xywh"], Path("/"))
    # a folder may get other weights, whose hash its config has
    described = (model / "config.json").read_text()
    key = digest([stage, described, proposed.num_rows, hash_of(proposed), boxes], world.work)
    return read_or_make(
        world.work, "scores", key, lambda: _run("tag", stage, {**tables, "candidates": proposed})["scores"]
    )


def hash_of(proposed: pa.Table) -> str:
    """Hash of the candidates' pairs and predicates."""
    columns = ("image_id", "subject_box", "object_box", "predicate")
    return digest([proposed[name].to_pylist() for name in columns], Path("/"))


def measures(scored: pa.Table, gold: pa.Table) -> dict[str, float]:
    """mAP, and F1 at the best threshold."""
    found = compare_labels(scored, gold)
    return {"mAP": found.mean_average_precision, "best F1": found.curve.best()[1]}


def selected(tables: Tables, scored: pa.Table, **options: Any) -> pa.Table:
    """The relations that the select stage keeps."""
    return _run("select", {"backend": "select", **options}, {**tables, "scores": scored})["relations"]


def run_folder(world: World, tables: Tables, relations: pa.Table, name: str) -> Path:
    """`images`, `boxes` and `relations` as a folder that training reads."""
    folder = world.work / "labelled" / name
    for table, rows in (("images", tables["images"]), ("boxes", tables["boxes"]), ("relations", relations)):
        (folder / table).mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / table / "part-00000.parquet")
    return folder


def _run(name: str, stage: dict[str, Any], tables: Tables) -> Tables:
    options = {key: value for key, value in stage.items() if key != "backend"}
    built = build(name, stage["backend"], **options)
    built.setup()
    return built.process(tables).tables


def _nouns(world: World) -> Path:
    file = world.work / "synonyms.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(list_synonyms(), indent=1), encoding="utf-8")
    return file
