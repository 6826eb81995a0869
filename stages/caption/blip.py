"""Captions by our own BLIP decoder (backend `blip`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from relforge.models.blip.files import list_files
from relforge.models.blip.settings import Beams, Nucleus
from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.stages.backend import Backend
from relforge.stages.caption.captioner import Caption, Image, LoadedCaptioner, check_sampling
from relforge.stages.caption.stage import CaptionStage

if TYPE_CHECKING:
    from relforge.models.blip.captioner import BlipCaptioner


class Blip:
    """BLIP (Li et al., 2022) with the published settings as defaults.

    Args:
        model: transformers folder, hub name, or an original BLIP / LAVIS `.pth`.
        mode: `nucleus` (sampled, `captions` per image) or `beam` (the likeliest one).
        captions: per image, with `nucleus`.
        top_p, top_k, temperature: see `Nucleus`.
        repetition_penalty: default 1.1 with `nucleus`, 1.0 with `beam`.
        num_beams: with `beam`.
        min_length, max_length: tokens per caption, the prompt's included.
        prompt: words every caption starts with; default: the model's.
        tokenizer: folder or `vocab.txt`; default: the model's, `bert-base-uncased` for a `.pth`.
        image_size: pixels; default: the model's.
        revision: of a hub name.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`; on a CPU with AMX
            float32 GEMMs split their operands in two and bfloat16 rounds nothing but operands.
        rows: captions decoded together; 0 chooses 120 on a CPU and 640 on a GPU. Without AMX another number
            may change the last bits of a logit, and so, rarely, a word.
        graphs: replay each decoding step as one CUDA graph; `nucleus` on a GPU only. By default where that
            is so, falling back with a note where a step cannot be captured.
    """

    version = 4
    neutral_options = ("device",)

    def __init__(
        self,
        model: str = "Salesforce/blip-image-captioning-large",
        mode: str = "nucleus",
        captions: int = 10,
        top_p: float = 0.9,
        top_k: int = 50,
        temperature: float = 1.0,
        repetition_penalty: float | None = None,
        num_beams: int = 3,
        min_length: int = 5,
        max_length: int = 20,
        prompt: str | None = None,
        tokenizer: str | None = None,
        image_size: int | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        rows: int = 0,
        graphs: bool | None = None,
    ) -> None:
        check_sampling(mode, captions)
        check_device_dtype(device, dtype)
        self.settings: Nucleus | Beams
        if mode == "nucleus":
            penalty = 1.1 if repetition_penalty is None else repetition_penalty
            self.settings = Nucleus(top_p, top_k, temperature, penalty, min_length, max_length)
        else:
            self.settings = Beams(num_beams, repetition_penalty or 1.0, min_length, max_length)
        self.samples = captions if mode == "nucleus" else 1
        self.model, self.tokenizer, self.prompt = model, tokenizer, prompt
        self.image_size, self.revision = image_size, revision
        self.device, self.dtype, self.rows, self.graphs = device, dtype, rows, graphs
        self.captioner: BlipCaptioner | None = None

    def files(self) -> Sequence[str]:
        return list_files(self.model, self.tokenizer, self.revision)

    def load(self) -> LoadedCaptioner:
        """Load the weights and pack them for this machine.

        Raises:
            FileNotFoundError, ValueError: see `checkpoint.load`.
        """
        from relforge.models.blip.captioner import BlipCaptioner
        from relforge.models.blip.checkpoint import load

        device, dtype = resolve_device_dtype(self.device, self.dtype)
        checkpoint = load(self.model, self.tokenizer, self.prompt, self.image_size, self.revision)
        rows = self.rows or (120 if device.type == "cpu" else 640)
        self.captioner = BlipCaptioner(
            checkpoint, self.settings, self.samples, device, dtype, rows, self.graphs
        )
        amx = self.captioner.arithmetic.amx
        return LoadedCaptioner(
            checkpoint.name,
            checkpoint.shape.vision.image_size,
            checkpoint.tokenizer.decode(checkpoint.prompt[1:]),
            {
                "device": str(device),
                "dtype": str(dtype).removeprefix("torch."),
                "gemm": f"amx, {amx}" if amx else "torch",
                **self.captioner.notes,
            },
        )

    def caption(self, images: Iterable[Image]) -> Iterator[tuple[str, list[Caption]]]:
        assert self.captioner is not None
        for image_id, captions in self.captioner.run(iter(images)):
            yield image_id, [Caption(caption.text, caption.logprob) for caption in captions]


stage = Backend(CaptionStage, Blip)
