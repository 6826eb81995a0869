"""Captions by any image-to-text model of transformers (backend `transformers`): BLIP-2, LLaVA, Qwen-VL, ...

The slow path: one image per call of the model's own `generate`. BLIP is faster through backend `blip`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.stages.backend import Backend
from relforge.stages.caption.captioner import Caption, Image, LoadedCaptioner, caption_each, check_sampling
from relforge.stages.caption.stage import CaptionStage
from relforge.vlm.chat import encode_message, has_template, move

if TYPE_CHECKING:
    from torch import Tensor


CHAT_PROMPT = "Describe this image in one short sentence."
"""What chat models are asked where no prompt is given."""


class Transformers:
    """Whatever `AutoModelForImageTextToText` makes of a model.

    Args:
        model: folder or hub name, with the model's processor.
        captions: per image; with `mode: beam` one.
        mode: `nucleus` or `beam`.
        top_p, top_k, temperature, repetition_penalty: with `nucleus`.
        num_beams: with `beam`.
        max_new_tokens: written per caption, beyond the prompt.
        prompt: words given to the model, removed from its captions; None: none. A model with a chat template
            is asked them in a message; None: to describe the image in one short sentence.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`.
        revision: of a hub name.
    """

    version = 2
    neutral_options = ("device",)

    def __init__(
        self,
        model: str,
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
    ) -> None:
        check_sampling(mode, captions)
        check_device_dtype(device, dtype)
        self.name_or_path, self.revision, self.prompt = model, revision, prompt
        self.device, self.dtype = device, dtype
        sampled = {"do_sample": True, "num_return_sequences": captions, "top_p": top_p, "top_k": top_k}
        sampled |= {"temperature": temperature, "repetition_penalty": repetition_penalty}
        searched = {"do_sample": False, "num_beams": num_beams}
        self.settings: dict[str, Any] = sampled if mode == "nucleus" else searched
        self.settings["max_new_tokens"] = max_new_tokens
        self.model: Any = None
        self.processor: Any = None

    def files(self) -> Sequence[str]:
        return resolve_model(self.name_or_path, self.revision).files

    def load(self) -> LoadedCaptioner:
        """Load the model and its processor.

        Raises:
            FileNotFoundError: no such model.
            ValueError: transformers has no image-to-text model of that type.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        device, dtype = resolve_device_dtype(self.device, self.dtype)
        path = resolve_model(self.name_or_path, self.revision).path
        model = AutoModelForImageTextToText.from_pretrained(path, dtype=dtype, trust_remote_code=False)
        self.model = model.eval().to(device)
        self.processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
        source = self.name_or_path if "/" in self.name_or_path else path.name
        # an answer does not start with its question
        prompt = "" if has_template(self.processor) else self.prompt or ""
        return LoadedCaptioner(source, prompt=prompt)

    def caption(self, images: Iterable[Image]) -> Iterator[tuple[str, list[Caption]]]:
        return caption_each(images, self._write)

    def _write(self, pixels: Tensor) -> list[str]:
        import torch

        image = pixels.permute(1, 2, 0).numpy()  # H x W x 3, as processors take them
        if has_template(self.processor):
            encoded = encode_message(self.processor, [image], self.prompt or CHAT_PROMPT)
        else:
            encoded = self.processor(images=image, text=self.prompt, return_tensors="pt")
        inputs = move(encoded, self.model.device, self.model.dtype)
        written = self.model.generate(**inputs, **self.settings)
        # models that continue their input repeat it in what they write
        prompt = inputs.get("input_ids")
        if prompt is not None and torch.equal(written[:1, : prompt.shape[1]], prompt):
            written = written[:, prompt.shape[1] :]
        texts = self.processor.batch_decode(written, skip_special_tokens=True)
        return [self._remove_prompt(text.strip()) for text in texts]

    def _remove_prompt(self, text: str) -> str:
        prompt = (self.prompt or "").strip()
        if prompt and text.lower().startswith(prompt.lower()):
            return text[len(prompt) :].strip()
        return text


stage = Backend(CaptionStage, Transformers)
