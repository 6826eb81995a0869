"""The caption stage with any image-to-text model of transformers (backend `transformers`), BLIP-2 included.

The slow path: one image per call of the model's own `generate`. BLIP goes faster through backend `blip`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.stages.caption.asked import check_asked
from relforge.stages.caption.captions import CaptionSheet
from relforge.stages.caption.one_by_one import caption_each
from relforge.stages.caption.quality import REASONS
from relforge.stages.contract import StageResult


class TransformersStage:
    """Captions every image of a shard with whatever `AutoModelForImageTextToText` makes of a model.

    Args:
        model: folder or hub name, with the model's processor.
        seed: run seed; torch is seeded anew for every image from it and the image id.
        captions: per image; with `mode: beam` one.
        mode: `nucleus` or `beam`.
        top_p, top_k, temperature, repetition_penalty: with `nucleus`.
        num_beams: with `beam`.
        max_new_tokens: written per caption, beyond the prompt.
        prompt: words given to the model, removed from its answer; None: none.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`.
        revision: of a hub name.
        threads: picture decoders.
        drop: quality reasons whose captions are left out.
    """

    name = "caption"
    version = 1
    inputs = ("images",)
    outputs = ("captions",)

    def __init__(
        self,
        model: str,
        seed: int = 0,
        captions: int = 10,
        mode: str = "nucleus",
        top_p: float = 0.9,
        top_k: int = 50,
        temperature: float = 1.0,
        repetition_penalty: float = 1.1,
        num_beams: int = 3,
        max_new_tokens: int = 16,
        prompt: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        threads: int = 2,
        drop: Sequence[str] = REASONS,
    ) -> None:
        check_asked(mode, captions, drop)
        check_device_dtype(device, dtype)
        self.name_or_path, self.revision, self.prompt = model, revision, prompt
        self.device, self.dtype, self.threads = device, dtype, threads
        self.seed, self.drop = seed, tuple(drop)
        sampled = {"do_sample": True, "num_return_sequences": captions, "top_p": top_p, "top_k": top_k}
        sampled |= {"temperature": temperature, "repetition_penalty": repetition_penalty}
        searched = {"do_sample": False, "num_beams": num_beams}
        self.how: dict[str, Any] = sampled if mode == "nucleus" else searched
        self.how["max_new_tokens"] = max_new_tokens
        self.model: Any = None
        self.processor: Any = None

    def files(self) -> Sequence[str]:
        return resolve_model(self.name_or_path, self.revision).files

    def setup(self) -> None:
        """Load the model and its processor.

        Raises:
            FileNotFoundError: no such model.
            ValueError: transformers knows no image-to-text model of that type.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        device, dtype = resolve_device_dtype(self.device, self.dtype)
        path = resolve_model(self.name_or_path, self.revision).path
        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=dtype).eval().to(device)
        self.processor = AutoProcessor.from_pretrained(path)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        """Caption the shard's images; a picture that cannot be read is quarantined under its reason."""
        if self.model is None:
            raise RuntimeError("setup() was not called")
        source = (
            resolve_model(self.name_or_path, self.revision).path.name
            if "/" not in self.name_or_path
            else None
        )
        sheet = CaptionSheet(source or self.name_or_path, self.seed, self.prompt or "", self.drop)
        return caption_each(tables, sheet, self._write, None, self.threads)

    def _write(self, pixels: Tensor) -> list[str]:
        image = pixels.permute(1, 2, 0).numpy()  # H x W x 3, as processors take them
        inputs = self.processor(images=image, text=self.prompt, return_tensors="pt")
        inputs = inputs.to(self.model.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self.model.dtype)
        written = self.model.generate(**inputs, **self.how)
        # models that continue their input repeat it in the answer
        asked = inputs.get("input_ids")
        if asked is not None and torch.equal(written[:1, : asked.shape[1]], asked):
            written = written[:, asked.shape[1] :]
        texts = self.processor.batch_decode(written, skip_special_tokens=True)
        return [self._without_prompt(text.strip()) for text in texts]

    def _without_prompt(self, text: str) -> str:
        asked = (self.prompt or "").strip()
        if asked and text.lower().startswith(asked.lower()):
            return text[len(asked) :].strip()
        return text
