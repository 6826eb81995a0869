"""`relforge train RECIPE`: train, or continue, one model of the zoo."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line
from relforge.models.zoo import DETECTORS, MODELS
from relforge.registry import Registry

RECIPES = Registry(
    "model.kind",
    {
        **dict.fromkeys(MODELS, "relforge.trainer.recipes.relations:main"),
        **dict.fromkeys(DETECTORS, "relforge.trainer.recipes.detector:main"),
        "blip": "relforge.trainer.recipes.blip:main",
        "defr": "relforge.trainer.recipes.image_level:main",
    },
    own=False,
)
"""model kind -> its recipe, a function of the values of the file."""

NAMED = Registry(
    "recipe",
    {
        "image_level": "relforge.trainer.recipes.image_level:main",
        "hts": "relforge.trainer.recipes.hts:main",
    },
    own=False,
)
"""What `recipe:` of the file may name, where a kind has several."""

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Change settings of the recipe, e.g. out=runs/mine."),
]


def command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="YAML file of a training run.")],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Train a model of the zoo (R-Tagger, ParSeD, ParSeDA, QAHOI, ...), a detector or a BLIP captioner.

    The same command continues where it stopped.

    On several GPUs: torchrun --nproc-per-node N -m relforge.trainer.recipes.relations RECIPE.
    """
    from relforge.cli.wrong_kind import check_recipe
    from relforge.pipeline.config.source import read

    values = read(recipe, overrides or [], what="recipe").values
    check_recipe(recipe, values)
    model = values.get("model")
    if not isinstance(model, dict) or not ("kind" in model or "start" in model):
        raise BadInput(f"{recipe}: a training recipe needs model, a mapping with kind or start")
    # a model to start from belongs to the zoo
    kind = str(model.get("kind", "rtagger"))
    try:
        # a family of the user's own, package.module:NAME, is trained as those of the zoo are
        if "recipe" in values:
            folder = NAMED.load(str(values["recipe"]))(values)
        else:
            folder = RECIPES.load("rtagger" if ":" in kind else kind)(values)
    except (ValueError, FileNotFoundError) as error:
        raise BadInput(f"{recipe}: {error}") from error
    if as_json:
        print_json({"model": str(folder)})
    else:
        print_line(f"the finished model is {folder}")
