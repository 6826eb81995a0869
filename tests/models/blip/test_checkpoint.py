"""Every published form of the weights loads, and a wrong one is refused with the whole list."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BlipForConditionalGeneration

from relforge.models.blip.checkpoint import load
from relforge.models.blip.files import list_files


def original_names(model: BlipForConditionalGeneration) -> dict[str, Tensor]:
    """The model's tensors as BLIP's and LAVIS's own classes name them, written out independently."""
    out = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("vision_model.encoder.layers."):
            number, rest = name.removeprefix("vision_model.encoder.layers.").split(".", 1)
            rest = rest.replace("self_attn.projection", "attn.proj").replace("self_attn", "attn")
            rest = rest.replace("layer_norm", "norm")
            name = f"visual_encoder.blocks.{number}.{rest}"
        name = {
            "vision_model.embeddings.class_embedding": "visual_encoder.cls_token",
            "vision_model.embeddings.position_embedding": "visual_encoder.pos_embed",
            "vision_model.embeddings.patch_embedding.weight": "visual_encoder.patch_embed.proj.weight",
            "vision_model.embeddings.patch_embedding.bias": "visual_encoder.patch_embed.proj.bias",
            "vision_model.post_layernorm.weight": "visual_encoder.norm.weight",
            "vision_model.post_layernorm.bias": "visual_encoder.norm.bias",
        }.get(name, name)
        out[name] = tensor.clone()
    out["text_decoder.bert.embeddings.position_ids"] = torch.arange(40)[None]
    return out


def same_tensors(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def original(model: BlipForConditionalGeneration, folder: Path, tmp_path: Path) -> Path:
    """An original checkpoint with a config.json beside it, as its heads are not 64 wide."""
    torch.save({"model": original_names(model)}, tmp_path / "model_tiny_caption.pth")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    return tmp_path / "model_tiny_caption.pth"


def test_a_transformers_folder_loads(folder: Path, model: BlipForConditionalGeneration) -> None:
    found = load(str(folder))
    assert found.prompt == (49, 5, 6, 7)
    assert found.shape.vision.tokens == 5
    assert found.name == folder.name
    assert torch.equal(
        found.state["vision_model.post_layernorm.bias"], model.vision_model.post_layernorm.bias
    )


def test_an_original_pth_holds_the_same_tensors(original: Path, folder: Path) -> None:
    assert same_tensors(load(str(original), tokenizer=str(folder)).state, load(str(folder)).state)


def test_a_lavis_pth_with_training_state_loads(original: Path, folder: Path) -> None:
    weights = torch.load(original)["model"]
    torch.save({"model": weights, "optimizer": {"state": {}}, "epoch": 4}, original)
    assert same_tensors(load(str(original), tokenizer=str(folder)).state, load(str(folder)).state)


def test_the_other_heads_of_a_pretraining_checkpoint_are_left_out(original: Path, folder: Path) -> None:
    weights = torch.load(original)["model"]
    others = (
        "text_encoder.embeddings.position_ids itm_head.weight visual_encoder_m.cls_token temp image_queue"
    )
    for name in f"{others} text_queue queue_ptr vision_proj.weight text_proj_m.bias".split():
        weights[name] = torch.zeros(2)
    torch.save({"model": weights}, original)
    assert same_tensors(load(str(original), tokenizer=str(folder)).state, load(str(folder)).state)


def test_sizes_come_from_the_tensors_where_no_config_lies_beside_the_file(
    tmp_path: Path, tokenizer: Any
) -> None:
    from transformers import BlipConfig

    text = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 120,
            "intermediate_size": 96, "sep_token_id": 102}  # fmt: skip
    vision = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 48,
              "intermediate_size": 160, "patch_size": 16}  # fmt: skip
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    torch.save({"model": original_names(model)}, tmp_path / "model.pth")
    tokenizer.save_pretrained(tmp_path / "words")
    shape = load(str(tmp_path / "model.pth"), tokenizer=str(tmp_path / "words")).shape
    assert (shape.vision.image_size, shape.vision.patch_size, shape.vision.heads) == (48, 16, 2)
    assert (shape.vision.depth, shape.vision.eps) == (3, 1e-6)
    assert (shape.text.heads, shape.text.depth, shape.text.bos, shape.text.eos) == (1, 1, 118, 102)


def test_missing_and_surplus_tensors_are_all_listed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    del weights["vision_model.post_layernorm.bias"]
    del weights["text_decoder.bert.encoder.layer.1.crossattention.self.key.weight"]
    weights["text_decoder.extra"] = torch.zeros(1)
    weights["text_decoder.bert.embeddings.LayerNorm.bias"] = torch.zeros(7)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="does not hold a BLIP captioner") as caught:
        load(str(tmp_path), tokenizer=str(folder))
    message = str(caught.value)
    assert "2 missing" in message
    assert "vision_model.post_layernorm.bias" in message
    assert "layer.1.crossattention.self.key.weight" in message
    assert "1 surplus: text_decoder.extra" in message
    assert re.search(r"embeddings.LayerNorm.bias is \(7,\), expected \(32,\)", message)


def test_another_kind_of_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "git"}))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="use the backend `transformers`"):
        load(str(tmp_path))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not hold a BLIP captioner"):
        load(str(tmp_path / "other.pth"))


def test_an_absent_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(str(tmp_path / "absent.pth"))
    with pytest.raises(FileNotFoundError, match="hf download"):
        load("Nobody/absent-model")


def test_another_image_size_interpolates_the_position_embedding(folder: Path) -> None:
    found = load(str(folder), image_size=64)
    assert found.shape.vision.tokens == 17
    assert found.state["vision_model.embeddings.position_embedding"].shape == (1, 17, 48)
    with pytest.raises(ValueError, match="multiple of the patch size"):
        load(str(folder), image_size=50)


def test_the_prompt_is_the_folders_or_the_callers(folder: Path) -> None:
    assert load(str(folder), prompt="").prompt == (49,)
    assert load(str(folder), prompt="the").prompt == (49, 8)


def test_the_fingerprint_covers_weights_configuration_and_words(folder: Path, original: Path) -> None:
    names = {Path(name).name for name in list_files(str(folder))}
    assert names >= {"model.safetensors", "config.json", "tokenizer.json", "caption.json"}
    beside = list_files(str(original), str(folder / "vocab.txt"))
    assert set(beside) == {str(original), str(original.with_name("config.json")), str(folder / "vocab.txt")}


def test_the_fingerprint_of_a_pth_covers_the_published_words(
    original: Path, folder: Path, hub_model: Callable[[str, Path], Path]
) -> None:
    with pytest.raises(FileNotFoundError, match="bert-base-uncased"):
        list_files(str(original))
    words = hub_model("bert-base-uncased", folder) / "vocab.txt"
    assert str(words) in list_files(str(original))
