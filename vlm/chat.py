"""A chat message with images as tensors, by the processor's own template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def has_template(processor: Any) -> bool:
    """Whether the model takes chat messages; the others continue or caption without one."""
    return bool(getattr(processor, "chat_template", None))


def encode_message(
    processor: Any, images: Sequence[NDArray[np.uint8]], text: str, system: str = ""
) -> dict[str, Any]:
    """Inputs of a model for one user message, images first, ready to be answered.

    Args:
        processor: of a chat model.
        images: H x W x 3 uint8 each.
        system: a system message; empty: none.

    Returns:
        What the model's `generate` takes, a batch of one, on the CPU.
    """
    parts: list[dict[str, Any]] = [{"type": "image", "image": Image.fromarray(one)} for one in images]
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
    if system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
    encoded = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    return dict(encoded)


def move(inputs: Mapping[str, Any], device: Any, dtype: Any) -> dict[str, Any]:
    """Inputs on the model's device, images in its dtype."""
    moved = {name: value.to(device) for name, value in inputs.items()}
    return {name: v.to(dtype) if v.is_floating_point() else v for name, v in moved.items()}
