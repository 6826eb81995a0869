"""`relforge train RECIPE`: train, or continue, one model of the family."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json
from relforge.cli.run import Overrides

RECIPES = {"rtagger": "rtagger", "parsed": "pretrain", "parseda": "pretrain", "blip": "blip"}
"""model kind -> recipe module."""


def command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="YAML file of a training run.")],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Train the R-Tagger, ParSeD, ParSeDA or a BLIP captioner; the same command continues where it stopped.

    On several GPUs: torchrun --nproc-per-node N -m relforge.trainer.recipes.rtagger RECIPE.
    """
    from importlib import import_module

    from relforge.pipeline.config.source import read

    values = read(recipe, overrides or []).values
    model = values.get("model") or {}
    kind = model.get("kind") or ("rtagger" if "start" in model else None)
    if kind not in RECIPES:
        raise BadInput(f"{recipe}: model.kind is {kind!r}; choose one of {', '.join(RECIPES)}")
    try:
        folder = import_module(f"relforge.trainer.recipes.{RECIPES[kind]}").main(values)
    except (ValueError, FileNotFoundError) as error:
        raise BadInput(f"{recipe}: {error}") from error
    if as_json:
        print_json({"model": str(folder)})
    else:
        print(f"the finished model is {folder}")
