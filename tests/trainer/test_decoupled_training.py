"""CDN's second stage by the recipe: frozen parts stay, rare labels weigh more, a stopped run continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.checkpoint import load_model
from relforge.trainer.recipes import relations
from tests.fixtures.stopping import stopped_after

FROZEN = ["backbone.", "tokens.", "encoder.", "pairs.queries."]


@pytest.fixture
def recipe(settings: dict[str, Any]) -> dict[str, Any]:
    """Stage one of a small CDN."""
    sizes = {"dim": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 2, "relation_layers": 2}
    model = settings["model"] | {"kind": "cdn", "sizes": sizes | {"feedforward": 64, "dropout": 0.0}}
    model.pop("text")
    return settings | {"model": model, "steps": 1}


@pytest.fixture
def second(recipe: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Stage two, which starts from the finished stage one."""
    first = relations.main(recipe)
    return recipe | {
        "out": str(tmp_path / "second"),
        "model": {"start": str(first)},
        "losses": {"reweight": ["objects", "relations"], "queue": 7},
        "optimisation": recipe["optimisation"] | {"frozen": FROZEN},
        "steps": 4,
    }


def test_stage_two_moves_decoders_and_heads_alone(second: dict[str, Any]) -> None:
    before = load_model(second["model"]["start"]).model.state_dict()
    after = load_model(relations.main(second)).model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if name.startswith(tuple(FROZEN))]
    assert "relations.decoder.layers.1.linear1.weight" in moved
    assert "classifier.object_heads.0.weight" in moved


def test_a_stopped_stage_two_continues_to_the_same_weights_and_counts(
    second: dict[str, Any], tmp_path: Path
) -> None:
    whole = relations.main(second)
    stopped = second | {"out": str(tmp_path / "stopped")}
    with stopped_after(2):
        relations.main(stopped)
    continued = relations.main(stopped)

    one, other = (load_model(folder).model.state_dict() for folder in (whole, continued))
    assert all(torch.equal(one[name], other[name]) for name in one)
    queues = [
        torch.load(folder.parent / "snapshot.pt", weights_only=True)["losses"]["relations"]["entries"]
        for folder in (whole, continued)
    ]
    assert torch.equal(*queues)
    assert len(queues[0]) == 7  # of 4 steps with 2 layers each


def test_a_part_that_is_not_there_cannot_be_frozen(recipe: dict[str, Any]) -> None:
    options = recipe["optimisation"] | {"frozen": ["decoder."]}
    with pytest.raises(
        ValueError, match=r"frozen: no parameter begins with 'decoder\.'; the parts are backbone, "
    ):
        relations.main(recipe | {"optimisation": options})
