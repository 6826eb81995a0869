"""A loaded BLIP captioner: images in, captions out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from relforge.images.resize import normalise
from relforge.models.blip.arithmetic import choose_arithmetic
from relforge.models.blip.beams import BeamSearch
from relforge.models.blip.checkpoint import Checkpoint
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.fused_decoder import why_not_fused
from relforge.models.blip.gpu_sampler import GpuSampler
from relforge.models.blip.sampler import Sampler, Tokens
from relforge.models.blip.settings import Beams, Nucleus
from relforge.models.blip.vision import VisionEncoder
from relforge.models.gpu import exact_arithmetic, upload


@dataclass(frozen=True)
class Caption:
    """One caption, prompt removed.

    Args:
        text: words as the tokenizer joins them.
        logprob: natural log-probability of its tokens, end included, under the model itself.
    """

    text: str
    logprob: float


class BlipCaptioner:
    """Encodes each image once and decodes its captions together with those of other images.

    Args:
        checkpoint: from `checkpoint.load`.
        settings: `Nucleus` for `samples` captions per image, `Beams` for the likeliest one.
        samples: captions per image; 1 with `Beams`.
        device: where it runs.
        dtype: float32, or bfloat16 where the device has it (see `choose_arithmetic`).
        rows: captions decoded together, the decoder batch. Part of the arithmetic except with AMX: another
            number may change the last bits of a logit, and so, rarely, a word.
        graphs: replay each step of nucleus sampling as one CUDA graph; None: where there is a GPU.
        on_gpu: work as on a GPU (`GpuSampler`, 16 images at a time); None: where the device is one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: Nucleus | Beams,
        samples: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        rows: int = 120,
        graphs: bool | None = None,
        on_gpu: bool | None = None,
    ) -> None:
        shape, self.checkpoint, self.device = checkpoint.shape, checkpoint, device
        beams = isinstance(settings, Beams)
        if beams and samples != 1:
            raise ValueError(f"beam search gives one caption per image, not {samples}")
        if graphs and (beams or device.type != "cuda"):
            found = "beam search" if beams else f"device {device}"
            raise ValueError(f"graphs speeds up nucleus sampling on a GPU; with {found}, leave it out")
        if settings.max_length > shape.text.positions:
            raise ValueError(
                f"max_length {settings.max_length} exceeds the model's {shape.text.positions} positions"
            )
        rows_per_image = settings.num_beams if isinstance(settings, Beams) else samples
        # one image at a time keeps a CPU busy; a GPU needs more
        self.on_gpu = device.type != "cpu" if on_gpu is None else on_gpu
        self.batch_size = 16 if self.on_gpu else 1
        self.arithmetic, self.dtype = choose_arithmetic(device, dtype), dtype
        self.encoder = VisionEncoder(checkpoint.state, shape.vision, self.batch_size, self.arithmetic)
        # half as many again as fill the decoder batch, for images that wait for their last caption
        images = math.ceil(1.5 * rows / rows_per_image) + 2 + self.on_gpu  # one entry to spare
        self.decoder = TextDecoder(
            checkpoint.state, shape, rows, settings.max_length, images, rows_per_image, self.arithmetic
        )
        eos, pad = shape.text.eos, shape.text.pad
        self.strategy: Sampler | GpuSampler | BeamSearch
        with exact_arithmetic(dtype, device):
            if isinstance(settings, Beams):
                self.strategy = BeamSearch(self.decoder, checkpoint.prompt, eos, pad, settings)
            elif self.on_gpu and why_not_fused(settings, shape.text, device, self.arithmetic.dtype) is None:
                wanted = device.type == "cuda" and graphs is not False
                self.strategy = GpuSampler(self.decoder, checkpoint.prompt, eos, settings, samples, wanted)
            else:
                self.strategy = Sampler(self.decoder, checkpoint.prompt, eos, settings, samples, bool(graphs))

    @property
    def notes(self) -> dict[str, str]:
        """What is worth writing down of how it runs."""
        return {"graphs": self.strategy.note} if isinstance(self.strategy, GpuSampler) else {}

    def run(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Caption]]]:
        """Caption a stream.

        Args:
            images: (image_id, random key as `derive_random_key` makes it, 3 x S x S uint8 pixels at the
                model's size).

        Yields:
            (image_id, captions in sample order), in order of completion.
        """
        captioned = self.strategy.run(self.encode_stream(images))
        while True:
            with exact_arithmetic(self.dtype, self.device):  # not while the caller has its turn
                one = next(captioned, None)
            if one is None:
                return
            yield one[0], [self._decode_text(tokens) for tokens in one[1]]

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """batch x 3 x S x S uint8 -> batch x image tokens x vision width."""
        ready = normalise(pixels.to(self.device), self.checkpoint.mean, self.checkpoint.std)
        return self.encoder(ready)

    def _encode_rows(self, pixels: Tensor) -> Tensor:
        """batch x S x S x 3 uint8, as decoded: whole rows are copied, and the GPU puts channels first."""
        (there,) = upload(self.device, pixels)
        return self.encode(there.permute(0, 3, 1, 2))

    def encode_stream(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, int, Tensor]]:
        """Pixels of each image replaced by its tokens, image tokens x vision width."""
        while batch := deque(islice(images, self.batch_size)):
            pixels = [p for _, _, p in batch]
            # a short last batch is filled up: the shape never changes
            pixels += [pixels[0]] * (self.batch_size - len(pixels))
            if self.on_gpu:
                tokens = self._encode_rows(torch.stack([one.permute(1, 2, 0) for one in pixels]))
            else:
                tokens = self.encode(torch.stack(pixels))
            for (image_id, random_key, _), image_tokens in zip(batch, tokens, strict=False):
                yield image_id, random_key, image_tokens

    def _decode_text(self, tokens: Tokens) -> Caption:
        text = self.checkpoint.tokenizer.decode(
            tokens.ids, skip_special_tokens=True, clean_up_tokenization_spaces=True
        )
        return Caption(text.strip(), tokens.logprob)
