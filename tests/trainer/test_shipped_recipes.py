"""The recipes of `configs/train`: something reads every setting, and schedules are the published ones."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge.data import few_shot
from relforge.data.hoi_sources import COMMON, HOI_FORMATS
from relforge.data.image_labels import read_image_labels
from relforge.data.sources import RUN_OPTIONS, SUBSETS
from relforge.data.zero_shot import read_unseen
from relforge.evaluation.hico_image import HicoImageEvaluator
from relforge.models.zoo import MODELS, family
from relforge.stages.registry import SOURCES
from relforge.trainer.image_training import image_settings
from relforge.trainer.recipe import build_losses
from relforge.trainer.settings import known, settings_from

RECIPES = Path(__file__).resolve().parents[2] / "configs" / "train"
NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    return values


def kind_of(values: dict[str, Any]) -> str:
    """Its family; of a model to start from, that of the recipe that makes it or of the shipped folder."""
    model = values["model"]
    if "kind" in model:
        return str(model["kind"])
    made = Path(model["start"]).parts
    name = made[-2] if made[-1] == "model" else made[-1]
    return name if name in MODELS else name.rsplit("_", 1)[0]


IMAGE_LEVEL = [name for name in NAMES if read(name)["model"].get("kind") == "defr"]


@pytest.mark.parametrize("name", IMAGE_LEVEL)
def test_every_setting_of_an_image_level_recipe_is_read(name: str) -> None:
    values = read(name)
    settings = image_settings(values, values.get("recipe", "image_level"))

    known(settings.model["sizes"], family("defr").sizes, "")
    known(settings.judge, HicoImageEvaluator, "")
    assert set(settings.data) <= {"limit", *signature(read_image_labels).parameters}
    family("defr").losses(**settings.losses)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if read(name)["model"].get("kind") in {None, *MODELS} and name not in IMAGE_LEVEL
    ],
)
def test_every_setting_is_read(name: str) -> None:
    values = read(name)
    settings = settings_from(values)
    if "reweight" not in settings.losses:  # which counts the labels of the training data
        build_losses(family(kind_of(values)), settings)
    for part in settings.data:
        known = {"format", *SUBSETS}
        if "run" in part:
            known |= RUN_OPTIONS
        elif part["format"] in HOI_FORMATS:
            known |= {*COMMON, *signature(HOI_FORMATS[part["format"]]).parameters}
        else:
            known |= set(signature(SOURCES.load(part["format"])).parameters)
        assert set(part) <= known, part
        assert set(part.get("few_shot", {})) <= set(few_shot.OPTIONS)
        if "unseen" in part:
            read_unseen(part["unseen"])


@pytest.mark.parametrize(
    ("name", "epochs", "drop", "rate", "pairs", "relations", "subject_class"),
    [
        ("parseda_hico", 20, 15, 1.41e-4, 64, "quality", True),
        ("parsed_hico", 20, 15, 1.41e-4, 100, "quality", True),
        ("parseda_hico_unseen", 20, 15, 1e-4, 64, "quality", True),
        ("parseda_hico_few", 10, 7, 1e-4, 100, "quality", False),
        ("parseda_vcoco", 20, 15, 1e-4, 100, "focal", True),
        ("parseda_open_images", 20, 15, 1e-4, 100, "quality", True),
        ("rlip_parsed_hico", 60, 40, 1e-4, 100, "quality", False),
        ("rlip_parsed_vcoco", 60, 40, 1e-4, 100, "focal", False),
        ("parsed_v1_hico", 60, 40, 1e-4, 100, "quality", True),
        ("parsed_v1_vcoco", 60, 40, 1e-4, 100, "focal", True),
        ("parse_hico", 90, 60, 2e-4, 64, "quality", True),
        ("parse_vcoco", 90, 60, 1e-4, 100, "focal", True),
        ("rlip_parse_hico", 90, 60, 1e-4, 64, "quality", False),
        ("rlip_parse_vcoco", 90, 60, 1e-4, 100, "focal", False),
        ("rlip_parse_hico_few", 10, 7, 1e-4, 64, "quality", False),
        ("rlip_parse_hico_unseen", 40, 30, 1e-4, 64, "quality", False),
        ("qpic_hico", 150, 100, 1e-4, 100, "focal", True),
        ("qpic_vcoco", 150, 100, 1e-4, 100, "focal", True),
        ("cdn_hico", 90, 60, 1e-4, 64, "focal", True),
        ("cdn_vcoco", 90, 60, 1e-4, 100, "focal", True),
        ("ocn_hico", 80, 60, 1e-4, 100, "focal", True),
        ("ocn_vcoco", 80, 60, 1e-4, 100, "focal", True),
    ],
)
def test_fine_tuning_is_scheduled_as_published(
    name: str, epochs: int, drop: int, rate: float, pairs: int, relations: str, subject_class: bool
) -> None:
    settings = settings_from(read(name))
    options = settings.optimisation
    assert (settings.epochs, round(options.drop_at * epochs)) == (epochs, drop)
    assert (options.learning_rate, options.backbone_learning_rate) == (rate, rate / 10)
    assert settings.batch.max_pairs == pairs
    assert settings.losses["relations"] == relations
    assert settings.losses.get("subject_class", True) == subject_class
    assert (settings.batch.jitter, settings.batch.crop, settings.batch.mirror) == (0.4, 0.5, 0.5)
