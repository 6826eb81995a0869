"""Files of a model's authors: what they were built from, and what a training may start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.models.published import (
    load_pretrained,
    load_published,
    published_blueprint,
    start_from_detector,
)
from relforge.stages.registry import build
from tests.fixtures import tiny_published, tiny_tagger


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    """A folder with the small tokenizer alone."""
    folder = tmp_path / "tokenizer"
    tiny_tagger.tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    """An R-Tagger's `.pth`."""
    state = tiny_published.model().state_dict()
    return tiny_published.write(tmp_path / "tagger.pth", tiny_published.published_state("rtagger", state))


def gates(model: Any) -> set[bool]:
    """Whether the model's fusions have scalar gates."""
    return {fusion.gate_v.scalar for fusion in model.encoder.fusions}


@pytest.mark.parametrize("kind", ["rtagger", "parsed"])
def test_a_file_tells_what_it_was_built_from(kind: str) -> None:
    state = tiny_published.published_state(kind, tiny_published.model(kind).state_dict())
    found = published_blueprint(state)
    assert found is not None
    expected = tiny_published.blueprint(kind, "vector")
    assert (found.kind, found.backbone) == (kind, expected.backbone)
    assert found.sizes == expected.sizes
    assert found.text_encoder == expected.text_encoder


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tiny_published.write(tmp_path / "other.pth", {"conv1.weight": torch.zeros(1)})
    assert published_blueprint({"conv1.weight": torch.zeros(1)}) is None
    with pytest.raises(ValueError, match="holds the weights of no model of the zoo"):
        load_pretrained(str(path))


def test_a_published_file_loads_with_a_tokenizer(tagger: Path, tokenizer: str) -> None:
    loaded = load_pretrained(str(tagger), tokenizer=tokenizer)
    ours = tiny_published.model().state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in loaded.model.state_dict().items())
    assert gates(loaded.model) == {False}


def test_the_gate_is_an_option_of_loading_and_of_the_tag_stage(tagger: Path, tokenizer: str) -> None:
    assert gates(load_pretrained(str(tagger), tokenizer=tokenizer, gate="scalar").model) == {True}
    stage: Any = build("tag", "rtagger", model=str(tagger), tokenizer=tokenizer, gate="scalar", device="cpu")
    stage.setup()
    assert gates(stage.tagger.engine.model) == {True}


def test_a_converted_detector_starts_a_model_though_its_box_heads_differ() -> None:
    source = tiny_published.model("parsed").state_dict()
    state = tiny_published.as_detector(tiny_published.published_state("parsed", source))
    torch.manual_seed(9)
    blueprint = tiny_published.blueprint("parsed", "vector")
    model = blueprint.build(tiny_tagger.tokenizer())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    count = start_from_detector(model, state, blueprint)

    after = model.state_dict()
    taken = {name for name in after if torch.equal(after[name], source[name])}
    assert count <= len(taken)
    for part in ("backbone.", "pyramid.", "encoder.layers.", "entity_decoder.", "relation_decoder."):
        assert all(name in taken for name in after if name.startswith(part)), part
    assert all(name in taken for name in after if name.startswith(("subject_boxes.", "object_boxes.")))
    assert torch.equal(after["classifier.projection.weight"], before["classifier.projection.weight"])


def test_a_trained_file_whose_box_heads_differ_is_damaged() -> None:
    state = tiny_published.published_state("parsed", tiny_published.model("parsed").state_dict())
    key = "transformer.ho_decoder.sub_bbox_embed.0.layers.0.bias"
    state[key] = state[key] + 1
    blueprint = tiny_published.blueprint("parsed", "vector")
    with pytest.raises(ValueError, match=r"two different copies of sub_bbox_embed\.0\.layers\.0\.bias"):
        load_published(blueprint.build(tiny_tagger.tokenizer()), state, blueprint)


def test_a_detector_of_other_sizes_is_refused() -> None:
    blueprint = tiny_published.blueprint("parsed", "vector")
    model = blueprint.build(tiny_tagger.tokenizer())
    with pytest.raises(ValueError, match="no weight of the checkpoint fits a parsed of these sizes"):
        start_from_detector(model, {"sub_bbox_embed.0.layers.0.bias": torch.zeros(7)}, blueprint)
