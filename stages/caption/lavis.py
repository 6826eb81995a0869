"""Captions by salesforce-lavis itself (backend `lavis`), in an environment of its own.

LAVIS pins versions nothing else here can live with: `make lavis-env` builds `.venv-lavis`, and the stage's
`py_executable: .venv-lavis/bin/python` runs it there. This module imports only what that environment has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from relforge.images.resize import normalise
from relforge.models.blip.files import PROMPT, list_files
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.stages.backend import Backend
from relforge.stages.caption.captioner import Caption, Image, LoadedCaptioner, caption_each, check_sampling
from relforge.stages.caption.stage import CaptionStage

if TYPE_CHECKING:
    from torch import Tensor

    from relforge.models.blip.checkpoint import Checkpoint


class Lavis:
    """LAVIS's `BlipCaption.generate`.

    LAVIS fixes the repetition penalty of nucleus sampling at 1.1 and leaves transformers' top_k of 50
    active; neither can be set. No log-probabilities.

    Args:
        model: transformers folder or an original BLIP / LAVIS `.pth`.
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
    """

    version = 3
    neutral_options = ("device",)

    def __init__(
        self,
        model: str,
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
    ) -> None:
        check_sampling(mode, captions)
        check_device_dtype(device)
        self.name_or_path, self.tokenizer, self.prompt = model, tokenizer, prompt
        self.image_size, self.device = image_size, device
        nucleus = mode == "nucleus"
        self.settings: dict[str, Any] = {
            "use_nucleus_sampling": nucleus,
            "num_captions": captions if nucleus else 1,
            "top_p": top_p,
            "num_beams": num_beams,
            "min_length": min_length,
            "max_length": max_length,
        }
        self.model: Any = None
        self.checkpoint: Checkpoint | None = None

    def files(self) -> Sequence[str]:
        return list_files(self.name_or_path, self.tokenizer)

    def load(self) -> LoadedCaptioner:
        """Build LAVIS's model and give it the weights.

        Raises:
            ImportError: this is not the LAVIS environment.
        """
        from relforge.stages.caption.lavis_model import build

        self.model, self.checkpoint = build(self.name_or_path, self.tokenizer, self.prompt, self.image_size)
        self.model.to(resolve_device_dtype(self.device)[0])
        size = self.checkpoint.shape.vision.image_size
        return LoadedCaptioner(f"lavis:{self.checkpoint.name}", size, self.prompt)

    def caption(self, images: Iterable[Image]) -> Iterator[tuple[str, list[Caption]]]:
        return caption_each(images, self._write)

    def _write(self, pixels: Tensor) -> list[str]:
        assert self.checkpoint is not None
        image = normalise(pixels[None], self.checkpoint.mean, self.checkpoint.std)
        written = self.model.generate({"image": image.to(self.model.device)}, **self.settings)
        return [text.strip() for text in written]


stage = Backend(CaptionStage, Lavis)
