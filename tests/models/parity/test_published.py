"""Published checkpoint layouts load completely or are refused with a list."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from relforge.models.blocks.backbone import resnet50
from relforge.models.blueprint import Blueprint
from relforge.models.published import load_published, published_blueprint, read_published
from relforge.models.rlipv2.published import rename
from relforge.models.rlipv2.published_keys import alias_of, our_name, unused_names
from relforge.models.rlipv2.sizes import Sizes
from relforge.models.zoo import family


@pytest.fixture(scope="module")
def listing(goldens: Path) -> dict[str, torch.Tensor]:
    """The tagger's 971 published entries without data, on the meta device."""
    entries = json.loads((goldens / "g1_tagger_state_dict.json").read_text())
    return {key: torch.empty(shape, device="meta") for key, (shape, _) in entries.items()}


def meta_model(roberta: Any, kind: str, sizes: Sizes) -> nn.Module:
    with torch.device("meta"):
        return family(kind).build(sizes, backbone=resnet50(), text_encoder=roberta, classes=(), relations=())


@pytest.mark.parametrize(
    ("kind", "sizes", "entries", "parameters"),
    [
        ("rtagger", Sizes(), 970, 206_642_164 - 200 * 768),  # 971 less the unused query table
        ("rtagger", Sizes(branch_fusion=True), 1067, 206_642_164 - 200 * 768 + 226_816),  # the Swin taggers
        ("parsed", Sizes(), 968, 206_589_684),
        ("parsed", Sizes(branch_fusion=True), 1065, 206_816_500),
        ("parseda", Sizes(branch_fusion=True, feedforward=2048), 1078, 213_700_624),
    ],
)
def test_builders_have_the_published_entries_and_parameters(
    roberta: Any, kind: str, sizes: Sizes, entries: int, parameters: int
) -> None:
    model = meta_model(roberta, kind, sizes)
    heads = sizes.decoder_layers * 2 * 2 * 6  # layers x decoders x roles x tensors are stored twice
    assert len(model.state_dict()) + heads == entries
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("rtagger", Sizes()),
        ("parsed", Sizes(branch_fusion=True)),
        ("parseda", Sizes(branch_fusion=True, feedforward=2048)),
    ],
)
def test_the_sizes_of_a_published_file_are_read_from_its_shapes(
    goldens: Path, kind: str, sizes: Sizes
) -> None:
    name = {"rtagger": "g1_tagger", "parsed": "g4_parsed", "parseda": "g4_parseda"}[kind]
    entries = json.loads((goldens / f"{name}_state_dict.json").read_text())
    found = published_blueprint({key: torch.empty(s, device="meta") for key, (s, _) in entries.items()})
    assert found is not None
    assert (found.kind, found.backbone, found.sizes) == (kind, "resnet50", sizes)


def test_every_published_key_is_known(listing: dict[str, torch.Tensor]) -> None:
    outside = [key for key in listing if not key.startswith("backbone.")]
    unknown = [
        key
        for key in outside
        if our_name(key) is None and alias_of(key, 3) is None and key not in unused_names("rtagger")
    ]
    assert unknown == []


def test_a_checkpoint_with_the_old_index_buffer_loads(listing: dict[str, torch.Tensor]) -> None:
    buffer = "transformer.text_encoder.embeddings.position_ids"
    blueprint = Blueprint("rtagger", Sizes(), None, None)
    renamed, problems = rename({buffer: torch.arange(514)}, blueprint)
    assert len({**listing, buffer: torch.arange(514)}) == 972
    assert (renamed, problems) == ({}, [])


def small() -> nn.Module:
    """A model of two published keys."""
    model = nn.Module()
    model.classifier = nn.Module()
    model.classifier.entity_bias = nn.Parameter(torch.zeros(4))
    model.classifier.relation_bias = nn.Parameter(torch.zeros(4))
    return model


def test_missing_surplus_and_misshapen_keys_are_all_listed() -> None:
    state = {"bias_obj_a": torch.zeros(5), "transformer.new_part.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match="not a rtagger") as error:
        load_published(small(), state, Blueprint("rtagger", Sizes(), None, None))
    text = str(error.value)
    assert "missing classifier.relation_bias" in text
    assert "surplus transformer.new_part.weight" in text
    assert "shape of bias_obj_a: (5,), expected (4,)" in text


def test_box_heads_that_differ_between_their_two_copies_are_refused() -> None:
    key = "bbox_embed.0.layers.0.bias"
    state = {f"sub_{key}": torch.zeros(4), f"transformer.ho_decoder.sub_{key}": torch.ones(4)}
    with pytest.raises(ValueError, match=f"two different copies of sub_{key}"):
        load_published(small(), state, Blueprint("parsed", Sizes(), None, None))


def test_a_training_checkpoint_with_arguments_is_read_without_running_code(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint0019.pth"
    content = {
        "model": {"module.bias_obj_a": torch.ones(4)},
        "args": argparse.Namespace(lr=1e-4),
        "epoch": 19,
    }
    torch.save(content, path)
    assert list(read_published(path)) == ["bias_obj_a"]


def test_a_pickle_with_code_in_it_is_refused(tmp_path: Path) -> None:
    class Surprise:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("executed",)

    path = tmp_path / "bad.pth"
    torch.save({"model": Surprise()}, path)
    with pytest.raises(ValueError, match="not a checkpoint of plain weights"):
        read_published(path)
