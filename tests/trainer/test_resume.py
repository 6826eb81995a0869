"""Every model of pairs continues exactly where it stopped, under the options of a step together."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from relforge.models.zoo import MODELS, family
from relforge.trainer.recipes import relations
from tests.fixtures.stopping import stopped_after

SMALL: dict[str, Any] = {"dim": 64, "heads": 2, "feedforward": 64, "dropout": 0.1}
SMALL |= {"encoder_layers": 2, "decoder_layers": 2}
SMALL |= {"word_width": 8, "fusions": 2, "fusion_dim": 64, "language_heads": 2, "language_feedforward": 64}
"""Small numbers for what a model has of these sizes."""
PAIR_MODELS = [name for name in MODELS if family(name).targets == "pairs"]
OPTIONS = {"accumulate": 2, "precision": "bf16", "average_decay": 0.9}


@pytest.fixture(params=PAIR_MODELS)
def recipe(request: pytest.FixtureRequest, settings: dict[str, Any], word_vectors: str) -> dict[str, Any]:
    """A recipe of two steps that trains each model under all options."""
    entry = family(request.param)
    names = {field.name for field in fields(entry.sizes)}
    sizes = {name: value for name, value in SMALL.items() if name in names}
    model = settings["model"] | {"kind": entry.name, "sizes": sizes}
    if entry.labels == "closed":
        model.pop("text")
    if "word_width" in names:
        model["words"] = word_vectors
    options = settings["optimisation"] | OPTIONS
    return settings | {"model": model, "optimisation": options, "steps": 2, "save_every": 1}


def test_a_stopped_run_ends_in_the_same_bytes(recipe: dict[str, Any]) -> None:
    whole = relations.main(recipe)
    stopped = recipe | {"out": f"{recipe['out']}-stopped"}
    with stopped_after(1):
        relations.main(stopped)
    resumed = relations.main(stopped)

    one, two = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(value.isfinite().all() for value in one.values() if value.is_floating_point())
