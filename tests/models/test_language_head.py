"""Language heads: sentences, encoders, pooling, the folder, and models that start from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import (
    BertModel,
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    CLIPModel,
)

from relforge.models.defr.model import Defr
from relforge.models.defr.sizes import Sizes
from relforge.models.language_head import write_rows, write_sentences
from relforge.stages.interactions import read_interactions
from tests.fixtures.sentence_encoders import PAIRS, write_bert, write_clip

SIZES = Sizes(width=32, layers=2, heads=2, feedforward=64, patch=8, image=32)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


def test_sentences_follow_the_templates_and_edited_ones_replace_them() -> None:
    sentences = write_sentences(PAIRS, ["a person {verb} the {object}", "the {object}"], {"eat apple": ["x"]})

    assert sentences == [
        ["a person ride the horse", "the horse"],
        ["a person ride the bicycle", "the bicycle"],
        ["x"],
        ["a person and a horse"],
    ]
    with pytest.raises(ValueError, match="prompts: 'ride bus' is none of the 4 interactions"):
        write_sentences(PAIRS, edited={"ride bus": ["x"]})
    with pytest.raises(ValueError, match="has other fields than verb, object, a"):
        write_sentences(PAIRS, ["a {verbing} person"])


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_a_bert_is_pooled_as_asked_and_several_sentences_are_averaged(bert: Path, pooling: str) -> None:
    sentences = [["a person ride the horse", "the horse"], ["a man eat an apple"]]
    rows = write_rows(str(bert), sentences, pooling)

    model, words = BertModel.from_pretrained(bert).eval(), BertTokenizer.from_pretrained(bert)
    vectors = []
    for sentence in [one for own in sentences for one in own]:  # one at a time: no padding
        out = model(**words(sentence, return_tensors="pt"))
        state = {
            "cls": out.last_hidden_state[0, 0],
            "pooler": out.pooler_output[0],
            "mean": out.last_hidden_state[0].mean(0),
        }
        vectors.append(F.normalize(state[pooling], dim=0))
    expected = torch.stack([F.normalize((vectors[0] + vectors[1]) / 2, dim=0), vectors[2]])
    torch.testing.assert_close(rows, expected, atol=1e-5, rtol=0)


def test_hicos_table_is_in_its_order() -> None:
    table = read_interactions("hico600")

    assert len(table) == 600
    assert table[:2] == (("board", "airplane"), ("direct", "airplane"))
    assert table[9] == ("no interaction", "airplane")


def test_rows_of_a_clip_are_mapped_back_through_its_projection_which_is_removed(clip: Path) -> None:
    rows = write_rows(str(clip), write_sentences(PAIRS))
    assert rows.shape == (4, 12)
    torch.manual_seed(3)
    model = Defr(
        Sizes(width=32, layers=2, heads=2, feedforward=64, patch=8, image=16, style="clip"), len(PAIRS)
    )
    model.start_from(str(clip), rows)

    whole = CLIPModel.from_pretrained(clip).eval()
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        vision = whole.vision_model(pixel_values=images)
        torch.testing.assert_close(model.vit(images), vision.pooler_output, atol=1e-5, rtol=1e-4)
        scores = whole.visual_projection(vision.pooler_output) @ rows.T
        torch.testing.assert_close(model.vit(images) @ model.head.rows.T, scores, atol=1e-5, rtol=1e-4)


def test_a_blip_tower_starts_a_plain_transformer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BlipConfig(
        text_config=shape | {"vocab_size": 20, "encoder_hidden_size": 32, "max_position_embeddings": 8},
        vision_config=shape | {"image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-6},
    )
    blip = BlipForConditionalGeneration(config).eval()
    blip.save_pretrained(tmp_path)
    model = Defr(SIZES, 3)
    model.start_from(str(tmp_path), None)

    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        theirs = blip.vision_model(images).last_hidden_state[:, 0]
        torch.testing.assert_close(model.vit(images), theirs, atol=1e-5, rtol=1e-4)


def test_backbones_that_do_not_fit_are_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is of style clip; set `sizes: \{style: clip\}`"):
        Defr(SIZES, 3).start_from(str(clip), None)
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.safetensors")
    with pytest.raises(ValueError, match="no vision transformer of timm"):
        Defr(SIZES, 3).start_from(str(tmp_path / "resnet.safetensors"), None)
    with pytest.raises(ValueError, match=r"classifier rows are \(4, 16\)"):
        Defr(SIZES, 3).start_from(None, torch.zeros(4, 16))
    with pytest.raises(ValueError, match=r"sizes.image: 30 pixels are not whole patches of 8"):
        Sizes(image=30, patch=8)
