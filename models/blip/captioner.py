"""A loaded BLIP captioner: pictures in, captions out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from relforge.images.resize import normalise
from relforge.models.blip.arithmetic import arithmetic
from relforge.models.blip.beams import Beams, BeamSearch
from relforge.models.blip.checkpoint import Checkpoint
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.nucleus import Nucleus
from relforge.models.blip.sampler import Sampler, Tokens
from relforge.models.blip.vision import VisionEncoder


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
    """Encodes each picture once and writes its captions together with those of other pictures.

    Args:
        checkpoint: from `checkpoint.load`.
        how: `Nucleus` for `samples` captions per picture, `Beams` for the likeliest one.
        samples: captions per picture; 1 with `Beams`.
        device: where it runs.
        dtype: float32, or bfloat16 where the device has it (see `arithmetic`).
        rows: captions decoded together. Part of the arithmetic except on a tile unit: another number may
            change the last bits of a logit, and so, rarely, a word.
        graphs: replay each step of nucleus sampling as one CUDA graph; needs a GPU.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        how: Nucleus | Beams,
        samples: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        rows: int = 120,
        graphs: bool = False,
    ) -> None:
        shape, self.checkpoint, self.device = checkpoint.shape, checkpoint, device
        beams = isinstance(how, Beams)
        if beams and samples != 1:
            raise ValueError(f"beam search gives one caption per picture, not {samples}")
        if graphs and (beams or device.type != "cuda"):
            found = "beam search" if beams else f"device {device}"
            raise ValueError(f"graphs speeds up nucleus sampling on a GPU; with {found}, leave it out")
        if how.max_length > shape.text.positions:
            raise ValueError(
                f"max_length {how.max_length} exceeds the model's {shape.text.positions} positions"
            )
        each = how.num_beams if isinstance(how, Beams) else samples
        # one picture at a time keeps a CPU busy; a GPU wants more
        self.batch = 1 if device.type == "cpu" else 16
        self.arithmetic, self.dtype = arithmetic(device, dtype), dtype
        self.encoder = VisionEncoder(checkpoint.state, shape.vision, self.batch, self.arithmetic)
        # half as many again as are needed to fill the tile, for images that wait for their last caption
        images = math.ceil(1.5 * rows / each) + 2
        self.decoder = TextDecoder(
            checkpoint.state, shape, rows, how.max_length, images, each, self.arithmetic
        )
        eos, pad = shape.text.eos, shape.text.pad
        self.writer: Sampler | BeamSearch
        if isinstance(how, Beams):
            self.writer = BeamSearch(self.decoder, checkpoint.prompt, eos, pad, how)
        else:
            self.writer = Sampler(self.decoder, checkpoint.prompt, eos, how, samples, graphs)

    def run(self, pictures: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Caption]]]:
        """Caption a stream.

        Args:
            pictures: (name, key, 3 x S x S uint8 pixels at the model's size).

        Yields:
            (name, captions in sample order), in order of completion.
        """
        for name, captions in self.writer.run(self._encode(pictures)):
            yield name, [self._words(tokens) for tokens in captions]

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Tensor:
        """batch x 3 x S x S uint8 -> batch x image tokens x vision width."""
        ready = normalise(pixels.to(self.device), self.checkpoint.mean, self.checkpoint.std)
        return self.encoder(ready)

    def _encode(self, pictures: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, int, Tensor]]:
        while batch := deque(islice(pictures, self.batch)):
            pixels = [p for _, _, p in batch]
            # a short last batch is filled up: the shape never changes
            tokens = self.encode(torch.stack(pixels + [pixels[0]] * (self.batch - len(pixels))))
            for (name, key, _), image in zip(batch, tokens, strict=False):
                yield name, key, image

    def _words(self, tokens: Tokens) -> Caption:
        text = self.checkpoint.tokenizer.decode(
            tokens.ids, skip_special_tokens=True, clean_up_tokenization_spaces=True
        )
        return Caption(text.strip(), tokens.logprob)
