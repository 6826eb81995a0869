"""A captioner of random weights and images to caption: BLIP-large's sizes on a GPU, tiny ones on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import BlipConfig, BlipForConditionalGeneration

from gpu_parts.recorder import Recorder
from relforge.models.blip.captioner import BlipCaptioner, Caption
from relforge.models.blip.checkpoint import Checkpoint
from relforge.models.blip.names import rename_to_transformers
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.shape import from_config
from relforge.models.blip.uniform import derive_random_key

PROMPT = (3, 1, 2)


class Words:
    """Stands in for a tokenizer: token ids as text."""

    def decode(self, ids: Iterable[int], **_: Any) -> str:
        return " ".join(map(str, ids))


def config(tiny: bool, large: bool) -> BlipConfig:
    """BLIP-large, BLIP-base or a tiny model."""
    if tiny:
        vision = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        }
        text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
        vision |= {"image_size": 32, "patch_size": 16}
        text |= {"vocab_size": 40, "max_position_embeddings": 24}
        text |= {"bos_token_id": 3, "sep_token_id": 5, "eos_token_id": 5, "pad_token_id": 0}
        return BlipConfig(text_config=text, vision_config=vision)
    vision = {"image_size": 384, "patch_size": 16, "hidden_size": 768}
    vision |= {"intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    if large:
        vision |= {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
        vision |= {"num_attention_heads": 16}
    text = {"num_attention_heads": 12, "bos_token_id": 3, "sep_token_id": 5, "eos_token_id": 5}
    text |= {"encoder_hidden_size": vision["hidden_size"], "pad_token_id": 0}
    return BlipConfig(text_config=text, vision_config=vision)


def build(recorder: Recorder, large: bool = True) -> tuple[BlipForConditionalGeneration, Checkpoint]:
    """transformers' model and the same weights for ours, drawn with a spread that makes images and
    cross-attention count."""
    chosen = config(recorder.tiny, large)
    torch.manual_seed(0)
    with torch.device(recorder.device):
        model = BlipForConditionalGeneration(chosen).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            norm = "norm" in name.lower() and name.endswith("weight")
            weight.normal_(1.0 if norm else 0.0, 0.02 if weight.dim() > 1 or norm else 0.01)
    shape = from_config(chosen.to_dict())
    state = rename_to_transformers({name: tensor.float() for name, tensor in model.state_dict().items()})
    return model, Checkpoint("random weights", shape, state, Words(), PROMPT)


def settings(recorder: Recorder) -> Nucleus:
    """Published ones; short captions where sizes are tiny."""
    return Nucleus(max_length=7 if recorder.tiny else 20)


def captions(recorder: Recorder) -> int:
    """Of an image."""
    return 3 if recorder.tiny else 10


def captioner(recorder: Recorder, checkpoint: Checkpoint, **options: Any) -> BlipCaptioner:
    """As a stage builds it."""
    tiny = recorder.tiny
    values: dict[str, Any] = {"rows": 8 if tiny else 640, "dtype": torch.float32 if tiny else torch.bfloat16}
    values |= {"on_gpu": True, **options}
    device = torch.device(recorder.device)
    return BlipCaptioner(checkpoint, settings(recorder), captions(recorder), device, **values)


def images(
    recorder: Recorder, checkpoint: Checkpoint, numbers: Iterable[int]
) -> Iterator[tuple[str, int, Tensor]]:
    """Random images by number, channels innermost as decoders leave them."""
    side = checkpoint.shape.vision.image_size
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        pixels = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8, generator=generator)
        yield str(number), derive_random_key(0, str(number)), pixels.permute(2, 0, 1)


def run(
    recorder: Recorder, model: BlipCaptioner, checkpoint: Checkpoint, numbers: Iterable[int]
) -> dict[str, list[Caption]]:
    """Captions by image."""
    return dict(model.run(images(recorder, checkpoint, numbers)))
