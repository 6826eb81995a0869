"""The caption stage run by salesforce-lavis itself (backend `lavis`), in an environment of its own.

LAVIS pins versions nothing else here can live with: `make lavis-env` builds `.venv-lavis`, and the stage's
`py_executable: .venv-lavis/bin/python` runs it there. This module imports only what that environment has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from torch import Tensor

from relforge.images.resize import normalise
from relforge.models.blip.checkpoint import PROMPT, Checkpoint, list_files
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.stages.caption.asked import check_asked
from relforge.stages.caption.captions import CaptionSheet
from relforge.stages.caption.one_by_one import caption_each
from relforge.stages.caption.quality import REASONS
from relforge.stages.contract import StageResult


class LavisStage:
    """Captions every image of a shard with LAVIS's `BlipCaption.generate`.

    LAVIS fixes the repetition penalty of nucleus sampling at 1.1 and leaves transformers' top_k of 50
    active; neither can be set. No log-probabilities.

    Args:
        model: transformers folder or an original BLIP / LAVIS `.pth`.
        seed: run seed; torch is seeded anew for every image from it and the image id.
        mode: `nucleus` or `beam` (one caption).
        captions: per image, with `nucleus`.
        top_p: with `nucleus`.
        num_beams: with `beam`.
        min_length, max_length: tokens per caption, the prompt's included.
        prompt: words every caption starts with.
        tokenizer: folder with `vocab.txt`, or the file; default: the model's folder, `bert-base-uncased`
            for a file.
        image_size: pixels; default: the model's.
        device: `auto`, `cpu`, `cuda`, ...
        threads: picture decoders.
        drop: quality reasons whose captions are left out.
    """

    name = "caption"
    version = 2
    inputs = ("images",)
    outputs = ("captions",)

    def __init__(
        self,
        model: str,
        seed: int = 0,
        mode: str = "nucleus",
        captions: int = 10,
        top_p: float = 0.9,
        num_beams: int = 3,
        min_length: int = 5,
        max_length: int = 20,
        prompt: str = PROMPT,
        tokenizer: str | None = None,
        image_size: int | None = None,
        device: str = "auto",
        threads: int = 2,
        drop: Sequence[str] = REASONS,
    ) -> None:
        check_asked(mode, captions, drop)
        self.model, self.tokenizer, self.prompt, self.image_size = model, tokenizer, prompt, image_size
        check_device_dtype(device)
        self.device, self.threads, self.seed, self.drop = device, threads, seed, tuple(drop)
        nucleus = mode == "nucleus"
        self.how: dict[str, Any] = {
            "use_nucleus_sampling": nucleus,
            "num_captions": captions if nucleus else 1,
            "top_p": top_p,
            "num_beams": num_beams,
            "min_length": min_length,
            "max_length": max_length,
        }
        self.captioner: Any = None
        self.checkpoint: Checkpoint | None = None

    def files(self) -> Sequence[str]:
        return list_files(self.model, self.tokenizer)

    def setup(self) -> None:
        """Build LAVIS's model and give it the weights.

        Raises:
            ImportError: this is not the LAVIS environment.
        """
        from relforge.stages.caption.lavis_model import build

        self.captioner, self.checkpoint = build(self.model, self.tokenizer, self.prompt, self.image_size)
        self.captioner.to(resolve_device_dtype(self.device)[0])

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Caption the shard's images; a picture that cannot be read is quarantined under its reason."""
        if self.checkpoint is None:
            raise RuntimeError("setup() was not called")
        sheet = CaptionSheet(f"lavis:{self.checkpoint.name}", self.seed, self.prompt, self.drop)
        size = self.checkpoint.shape.vision.image_size
        return caption_each(tables, sheet, self._write, size, self.threads)

    def _write(self, pixels: Tensor) -> list[str]:
        assert self.checkpoint is not None
        image = normalise(pixels[None], self.checkpoint.mean, self.checkpoint.std)
        written = self.captioner.generate({"image": image.to(self.captioner.device)}, **self.how)
        return [text.strip() for text in written]
