"""The effect of each switch of `compat`, alone and with the others; and of wording, which is no switch.

Labels are those that the select stage keeps at the default threshold, evaluated as scored rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laboratory.labels import candidates, measures, scores, selected
from laboratory.spread import Row, rows
from laboratory.training import BASE, tagger
from laboratory.world import World
from relforge.pipeline.config.resolve import SWITCHES

TAGGERS = (BASE,)

FLOOR = 0.05
"""Of the tag stage, as published: `union` writes every pair against every text."""

Options = dict[str, dict[str, Any]]


def cases() -> dict[str, Options]:
    """Case -> stage -> options."""
    one_by_one: dict[str, Options] = {
        f"{stage}.{option}: {compat}": {stage: {option: compat}}
        for stage, switches in SWITCHES.items()
        for option, (_, compat) in switches.items()
    }
    all_switches = {stage: {o: compat for o, (_, compat) in own.items()} for stage, own in SWITCHES.items()}
    return {"fixed": {}, **one_by_one, "compat, all of them": all_switches}


def run(world: World, seeds: Sequence[int]) -> list[Row]:
    found = {name: [_one(world, options, seed) for seed in seeds] for name, options in cases().items()}
    for form in ("surface", "progressive"):
        options: Options = {"parse": {"predicate_form": form}}
        own = [_one(world, options, seed, gold_words=False) for seed in seeds]
        found[f"captions' own wording, parse.predicate_form: {form}"] = own
    return [row for name, own in found.items() for row in rows(name, "fixed", own, found["fixed"])]


def _one(world: World, options: Options, seed: int, gold_words: bool = True) -> dict[str, float]:
    tables = world.evaluated_tables()
    proposed = candidates(
        world, tables, match=options.get("match"), gold_words=gold_words, **options.get("parse", {})
    )
    tag = {"floor": FLOOR, **options.get("tag", {})}
    scored = scores(world, tables, proposed, tagger(world, BASE, seed), **tag)
    kept = selected(tables, scored, **options.get("select", {}))
    return measures(kept, tables["gold"]) | {"relations": float(kept.num_rows)}
