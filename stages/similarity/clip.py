"""Scorer `clip`: the angle between a CLIP's features of image and sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relforge.images.resize import normalise, resize
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.stages.backend import Backend
from relforge.stages.similarity.stage import SimilarityStage
from relforge.stages.tag.clip import CLIP_MEAN, CLIP_STD

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHT = 2.5


class ClipScorer:
    """min(1, 2.5 max(0, cosine)): CLIPScore (Hessel et al., EMNLP 2021).

    Args:
        model: folder or hub name of a CLIP model.
        revision: of a hub name.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        batch_size: views, and sentences, computed at once.
    """

    version = 1
    neutral_options: tuple[str, ...] = ("device",)

    def __init__(
        self,
        model: str = "openai/clip-vit-base-patch32",
        revision: str | None = None,
        device: str = "auto",
        batch_size: int = 16,
    ) -> None:
        check_device_dtype(device)
        check_batch(batch_size)
        self.name, self.revision, self.device, self.batch_size = model, revision, device, batch_size
        self._network: Any = None
        self._tokenizer: Any = None

    def files(self) -> Sequence[str]:
        return resolve_model(self.name, self.revision).files

    def load(self) -> None:
        from transformers import AutoTokenizer, CLIPModel

        device, _ = resolve_device_dtype(self.device)
        folder = resolve_model(self.name, self.revision).path
        self._network = CLIPModel.from_pretrained(folder).eval().to(device)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

    def encode_views(self, views: Sequence[NDArray[np.uint8]]) -> Sequence[Tensor]:
        """Unit image features; see `Scorer`."""
        import torch

        from relforge.models.gpu import exact_arithmetic

        inputs = to_squares(views, self._network.config.vision_config.image_size, self._network.device)
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            return list(_unit(self._network.get_image_features(pixel_values=inputs)))

    def match(self, views: Sequence[Tensor], sentences: Sequence[str]) -> Sequence[float]:
        """See `Scorer`; longer sentences are cut to what the model reads."""
        import torch

        from relforge.models.gpu import exact_arithmetic

        length = self._network.config.text_config.max_position_embeddings
        tokens = to_tokens(self._tokenizer, sentences, length, self._network.device)
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            texts = _unit(self._network.get_text_features(**tokens))
            cosine = (torch.stack(list(views)) * texts).sum(1)
        found: list[float] = (_WEIGHT * cosine).clamp(0, 1).tolist()
        return found


def check_batch(batch_size: int) -> None:
    """Raises:
    ValueError: a batch of nothing.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; use 1 or more")


def to_squares(views: Sequence[NDArray[np.uint8]], side: int, device: Any) -> Tensor:
    """Views as squares, N x 3 x side x side, normalised by CLIP's statistics, which BLIP has too."""
    import torch

    squares = torch.stack([resize(view, side, side, "bicubic") for view in views])
    return normalise(squares.to(device), CLIP_MEAN, CLIP_STD)


def to_tokens(tokenizer: Any, sentences: Sequence[str], length: int, device: Any) -> dict[str, Tensor]:
    """Token ids and attention mask, N x length whatever the sentences."""
    tokens = tokenizer(
        list(sentences), return_tensors="pt", padding="max_length", truncation=True, max_length=length
    )
    return {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}


def _unit(features: Any) -> Tensor:
    import torch

    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return torch.nn.functional.normalize(tensor.float(), dim=-1)


stage = Backend(SimilarityStage, ClipScorer)
