"""What a model knows of its labels before training: from all training data, and kept with its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relforge.data import sources
from relforge.data.label_counts import count_labels
from relforge.models.ocn.priors import co_occurrence, object_prior, word_table
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from
from relforge.trainer.start import start_model


@pytest.fixture
def recipe(settings: dict[str, Any], word_vectors: str) -> dict[str, Any]:
    """A small OCN; one pair of an image is trained on."""
    sizes = {"dim": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "feedforward": 64}
    model = settings["model"] | {"kind": "ocn", "sizes": sizes | {"word_width": 8}, "words": word_vectors}
    model.pop("text")
    batch = settings["batch"] | {"max_pairs": 1}
    return settings | {"model": model, "batch": batch, "steps": 1}


def started(recipe: dict[str, Any], **data: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    """The model that training starts with, and its prior knowledge."""
    settings = settings_from(recipe)
    model, _, _ = start_model(settings, sources.load_relations(recipe["data"], **data))
    buffers = {name: tensor for name, tensor in model.named_buffers() if name.startswith("relations.")}
    return model, buffers


def test_a_new_model_has_the_priors_of_all_pairs(recipe: dict[str, Any], word_vectors: str) -> None:
    data = sources.load_relations(recipe["data"])
    counts = count_labels(recipe["data"], data.categories, data.predicates)
    _, known = started(recipe, max_pairs=1)
    assert known["relations.object_prior"].equal(object_prior(counts.objects))
    assert known["relations.co_occurrence"].equal(co_occurrence(counts.together))
    assert known["relations.words"].equal(word_table(data.predicates, word_vectors))
    joint = recipe["model"]["sizes"] | {"prior": "joint"}
    _, other = started(recipe | {"model": recipe["model"] | {"sizes": joint}})
    assert other["relations.object_prior"].equal(object_prior(counts.objects, joint=True))


def test_a_model_that_starts_from_another_keeps_its_priors(recipe: dict[str, Any]) -> None:
    part = [recipe["data"][0] | {"limit": 6}]
    folder = relations.main(recipe)
    model = {"start": str(folder)}
    _, first = started(recipe)
    _, kept = started(recipe | {"model": model})
    assert all(kept[name].equal(first[name]) for name in first)
    _, anew = started(recipe | {"model": model | {"words": recipe["model"]["words"]}})
    assert all(anew[name].equal(first[name]) for name in first)
    with pytest.raises(
        ValueError, match=r"ocn needs vectors of the words of its relations: give model\.words"
    ):
        started(recipe | {"model": model, "data": part})


def test_word_vectors_are_asked_for_where_they_are_of_use(recipe: dict[str, Any]) -> None:
    without = {key: value for key, value in recipe["model"].items() if key != "words"}
    with pytest.raises(ValueError, match=r"give model\.words"):
        started(recipe | {"model": without})
    sizes = {**recipe["model"]["sizes"], "word_width": 300}
    with pytest.raises(ValueError, match=r"vectors of 8; give sizes: \{word_width: 8\}"):
        started(recipe | {"model": recipe["model"] | {"sizes": sizes}})
    sizes = {key: value for key, value in recipe["model"]["sizes"].items() if key != "word_width"}
    with pytest.raises(ValueError, match="a qpic model has no use for word vectors"):
        started(recipe | {"model": recipe["model"] | {"kind": "qpic", "sizes": sizes}})
    assert torch.isfinite(started(recipe)[1]["relations.words"]).all()
