"""`relforge ground fit`: teach the prior of the stage `ground` which boxes claims mean, or proposals."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line


def command(
    action: Annotated[str, typer.Argument(metavar="fit", help="The one thing to do.")],
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run folder whose claims are learnt from.")
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Model folder to write; with --proposals a file.")
    ] = "",
    gold: Annotated[
        bool, typer.Option("--gold", help="Learn from the run's gold relations, not from its claims.")
    ] = False,
    proposals: Annotated[
        bool,
        typer.Option(
            "--proposals", help="From gold alone, the file of `propose: prior`: relations that nobody says."
        ),
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENTRY",
            help="More to learn from, as in a recipe's data: '{format: vcoco, annotations: FILE}'.",
        ),
    ] = None,
    without: Annotated[
        str, typer.Option(metavar="VERB,...", help="Leave out claims with these predicates.")
    ] = "",
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Of the data, for the card.")] = "",
    seed: Annotated[int, typer.Option(help="Of the weights and the order of training.")] = 0,
    as_json: Json = False,
) -> None:
    """Fit a prior over box pairs: from claims alone in two rounds, or from gold. Folds by image, always.

    A config names the folder as stages.ground.model, a file of proposals as stages.propose.model. Images that
    either was fitted on are scored by the half of the model that did not see them.
    """
    from relforge.stages.ground.model import save_model
    from relforge.trainer.ground.fit import teach
    from relforge.trainer.ground.lessons import hash_lesson, read_lesson

    if action != "fit":
        raise BadInput(f"ground {action}: unknown; write `relforge ground fit RUN --out FOLDER`")
    if not out:
        raise BadInput("--out: missing; give the folder to write")
    if Path(out).exists():
        raise BadInput(f"--out {out}: is there already; choose another name or delete it")
    relations = "gold" if gold or proposals else "claims"
    parts: list[dict[str, Any]] = [{"run": run, "relations": relations}] if run else []
    parts += [_read_entry(text) for text in also or ()]
    if not parts:
        raise BadInput("nothing to learn from; give a run folder, or --also ENTRY")
    left_out = [verb.strip() for verb in without.split(",") if verb.strip()]
    if proposals:
        return _fit_proposals(parts, left_out, Path(out), licence, seed, as_json)
    try:
        lessons = [read_lesson(part, left_out) for part in parts]
        model, measures = teach(lessons, seed)
    except (ValueError, OSError) as error:
        raise BadInput(f"ground fit: {error}") from error
    card = {
        "model": "relforge pair prior",
        "command": shlex.join(["relforge", *sys.argv[1:]]),
        "seed": seed,
        "data": [
            {"source": part, "pairs": len(lesson.pairs.claim), "sha256": hash_lesson(lesson)}
            for part, lesson in zip(parts, lessons, strict=True)
        ],
        "licence": licence or "that of the data",
        "held_out": measures,
    }
    save_model(Path(out), model, card)
    if as_json:
        return print_json({"folder": out, **measures})
    print_line(
        f"{out}: {measures['claims']:,} claims, {measures['pairs']:,} pairs; on held-out images "
        f"average precision {measures['average_precision']:.3f}, log loss {measures['log_loss']:.3f}"
    )
    return None


def _fit_proposals(
    parts: list[dict[str, Any]], without: list[str], out: Path, licence: str, seed: int, as_json: bool
) -> None:
    from relforge.stages.propose.model import save_proposals
    from relforge.trainer.ground.lessons import read_gold
    from relforge.trainer.ground.proposals import hash_gold, teach_proposals

    if out.suffix != ".safetensors":
        raise BadInput(f"--out {out}: proposals are one file; give a name that ends in .safetensors")
    try:
        given = [read_gold(part) for part in parts]
        model, measures = teach_proposals(given, without, seed)
    except (ValueError, OSError) as error:
        raise BadInput(f"ground fit: {error}") from error
    sources = [
        {"source": part, "gold": tables["gold"].num_rows, "sha256": hash_gold(tables)}
        for part, tables in zip(parts, given, strict=True)
    ]
    card = {
        "model": "relforge proposals",
        "command": shlex.join(["relforge", *sys.argv[1:]]),
        "seed": seed,
        "data": sources,
        "licence": licence or "that of the data",
        "held_out": measures,
    }
    save_proposals(out, model, card)
    if as_json:
        return print_json({"file": str(out), **measures})
    print_line(
        f"{out}: {len(model.predicates)} predicates, {measures['pairs']:,} pairs; on held-out images, from "
        f"{measures['threshold']} on: precision {measures['precision']:.3f}, "
        f"recall {measures['recall']:.3f}, "
        f"average precision {measures['average_precision']:.3f}"
    )
    return None


def _read_entry(text: str) -> dict[str, Any]:
    from relforge.limited_yaml import YamlError, read_yaml

    try:
        entry = read_yaml(text)
    except YamlError as error:
        raise BadInput(f"--also: {error}") from error
    if not isinstance(entry, dict):
        raise BadInput(f"--also: expected {{run: FOLDER}} or {{format: NAME, ...}}, found {text!r}")
    return entry
