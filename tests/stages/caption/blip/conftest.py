"""Small BLIP captioners of transformers' own classes, with weights that let every path be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

_TEXT = """
[PAD] [UNK] [CLS] [SEP] [MASK] a picture of the man woman dog cat horse riding on under next to with
holding red blue green big small table chair street grass ball park two three sitting standing
looking at his her and is in white black brown ##s ##ing ##ed [DEC] [ENC]
"""
WORDS = _TEXT.split()


def blip(
    seed: int = 0, image_size: int = 32, vision: int = 48, text: int = 32, vocabulary: int = len(WORDS)
) -> BlipForConditionalGeneration:
    """A random captioner: three image patches a side are few, but every weight counts.

    transformers initialises the vision tower with a standard deviation of 1e-10: image features would be
    zero and every cross-attention bug invisible. All weights are drawn again, biases and norms too.
    """
    config = BlipConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": text,
            "intermediate_size": 2 * text,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 40,
            "bos_token_id": vocabulary - 2,
            "sep_token_id": 3,
            "eos_token_id": 3,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": vision,
            "intermediate_size": 2 * vision,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": image_size,
            "patch_size": 16,
        },
    )
    model = BlipForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            spread = torch.randn(weight.shape, generator=generator)
            norm = "norm" in name.lower() and name.endswith("weight")
            weight.copy_(1 + 0.1 * spread if norm else (0.25 if weight.dim() > 1 else 0.1) * spread)
    return model


@pytest.fixture(scope="session")
def model() -> BlipForConditionalGeneration:
    return blip()


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return BertTokenizer(vocab=str(path), do_lower_case=True)


@pytest.fixture(scope="session")
def folder(
    model: BlipForConditionalGeneration, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The model as a folder on disk, as a trainer would leave it."""
    from relforge.stages.caption.blip.checkpoint import save

    path = tmp_path_factory.mktemp("tiny-blip")
    save(model, tokenizer, path)
    return path


@pytest.fixture(scope="session")
def wide_folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers are large enough to be packed for the processor."""
    from relforge.stages.caption.blip.checkpoint import save

    path = tmp_path_factory.mktemp("wide-blip")
    model = blip(vision=512, text=512)
    with torch.no_grad():  # ten times the width needs smaller weights for captions that end
        for weight in model.parameters():
            weight.mul_(0.3 if weight.dim() > 1 else 1.0)
    save(model, tokenizer, path)
    return path


@pytest.fixture(scope="session")
def pixels() -> Callable[[int], torch.Tensor]:
    """`pixels(n)`: the n-th random picture, 3 x 32 x 32 uint8."""

    def draw(n: int, size: int = 32) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1000 + n)
        return torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)

    return draw
