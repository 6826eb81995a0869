"""Scorer `blip`: BLIP's head of image-text matching, which reads the sentence beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.stages.backend import Backend
from relforge.stages.similarity.clip import check_batch, to_squares, to_tokens
from relforge.stages.similarity.stage import SimilarityStage

if TYPE_CHECKING:
    from torch import Tensor

_TOKENS = 35
"""Of a sentence, as published."""


class BlipScorer:
    """Probability that image and sentence belong together (Li et al., ICML 2022).

    Args:
        model: folder or hub name of a BLIP with a matching head (`BlipForImageTextRetrieval`).
        revision: of a hub name.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        batch_size: views, and sentences, computed at once.
    """

    version = 1
    neutral_options: tuple[str, ...] = ("device",)

    def __init__(
        self,
        model: str = "Salesforce/blip-itm-base-coco",
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
        """Raises:
        ValueError: the weights have no matching head, as those of a captioner.
        """
        from transformers import AutoTokenizer, BlipForImageTextRetrieval

        device, _ = resolve_device_dtype(self.device)
        folder = resolve_model(self.name, self.revision).path
        network, report = BlipForImageTextRetrieval.from_pretrained(folder, output_loading_info=True)
        if absent := sorted(name for name in report["missing_keys"] if name.startswith("itm_head")):
            raise ValueError(
                f"similarity.model: {self.name} has no {absent[0]}, so it cannot match; give a BLIP of "
                "image-text retrieval, such as Salesforce/blip-itm-base-coco"
            )
        self._network = network.eval().to(device)
        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

    def encode_views(self, views: Sequence[NDArray[np.uint8]]) -> Sequence[Tensor]:
        """Features of each view's patches; see `Scorer`."""
        import torch

        from relforge.models.gpu import exact_arithmetic

        inputs = to_squares(views, self._network.config.vision_config.image_size, self._network.device)
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            return list(self._network.vision_model(pixel_values=inputs).last_hidden_state)

    def match(self, views: Sequence[Tensor], sentences: Sequence[str]) -> Sequence[float]:
        """See `Scorer`; longer sentences are cut to 35 tokens."""
        import torch

        from relforge.models.gpu import exact_arithmetic

        tokens = to_tokens(self._tokenizer, sentences, _TOKENS, self._network.device)
        patches = torch.stack(list(views))  # N x patches x width
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            states = self._network.text_encoder(
                **tokens,
                encoder_hidden_states=patches,
                encoder_attention_mask=torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device),
            ).last_hidden_state  # N x tokens x width
            logits = self._network.itm_head(states[:, 0])  # N x 2: apart, together
        found: list[float] = logits.float().softmax(1)[:, 1].tolist()
        return found


stage = Backend(SimilarityStage, BlipScorer)
