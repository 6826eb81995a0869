"""Nucleus sampling with continuous batching: a caption that ends leaves its row to one of the next image."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.nucleus import choose_tokens
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.uniform import draw_uniform
from relforge.models.cuda_graph import CudaGraph


@dataclass(frozen=True)
class Tokens:
    """One caption as the model wrote it.

    Args:
        ids: token ids after the prompt, without the end token.
        logprob: natural log-probability of those tokens and of the end token where one was drawn, under the
            model itself (no penalty, temperature or truncation).
    """

    ids: list[int]
    logprob: float


@dataclass
class _Image:
    image_id: str
    random_key: int
    entry: int  # of the cross-attention cache
    prompt_cache: Tensor  # depth x 2 x heads x prompt x head width
    captions: dict[int, Tokens] = field(default_factory=dict)  # by sample index


@dataclass(frozen=True)
class _Pending:
    """A caption that has its first token and waits for a row."""

    image: _Image
    sample: int
    token: int
    logprob: float


class Sampler:
    """Draws N captions of every image of a stream.

    A caption is a function of the model, the settings, its image and its random key alone: each row is
    computed in GEMMs of fixed shape, and its random numbers are counter-based.

    Args:
        decoder: sized for `settings.max_length` tokens and `samples` captions per image.
        prompt: token ids every caption starts with.
        eos: the token that ends a caption.
        graphs: replay a step's work as one CUDA graph; needs a GPU.
    """

    def __init__(
        self,
        decoder: TextDecoder,
        prompt: tuple[int, ...],
        eos: int,
        settings: Nucleus,
        samples: int,
        graphs: bool = False,
    ) -> None:
        if len(prompt) >= settings.max_length:
            raise ValueError(
                f"max_length {settings.max_length} leaves no token after the prompt's {len(prompt)}"
            )
        self.decoder, self.prompt, self.eos = decoder, prompt, eos
        self.settings, self.samples = settings, samples
        rows, device = decoder.rows, decoder.device
        self.history = torch.full((rows, settings.max_length), prompt[0], dtype=torch.long, device=device)
        self.length = torch.ones(rows, dtype=torch.long, device=device)
        self.random_key = torch.zeros(rows, dtype=torch.long, device=device)
        self.sample = torch.zeros(rows, dtype=torch.long, device=device)
        self.logprob = torch.zeros(rows, dtype=torch.float64, device=device)
        # as `TextDecoder.step` takes them
        self.rows_of_images = torch.full((decoder.images, samples), rows, dtype=torch.long, device=device)
        self.row_in_images = torch.zeros(rows, dtype=torch.long, device=device)
        self.logits_buffer = torch.empty(rows, decoder.shape.vocabulary, device=device)
        self.owners: list[tuple[_Image, int] | None] = [None] * rows  # (image, sample) of each row
        self.free_entries = list(range(decoder.images))
        self.pending: deque[_Pending] = deque()
        self.graph: CudaGraph | None = None
        if graphs:
            self.graph = CudaGraph(lambda: self._advance([]), device)
            self.length.fill_(1)

    @torch.inference_mode()
    def run(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Caption a stream of images.

        Args:
            images: (image_id, random key, image tokens x vision width); taken only when the cross-attention
                cache has a free entry.

        Yields:
            (image_id, captions in sample order), in order of completion.
        """
        while True:
            yield from self._refill(images)
            self._assign_rows()
            if not any(self.owners):
                return
            yield from self._step()

    def _refill(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Take images until every free row has a pending caption. A prompt costs a whole decoder batch,
        however few images it is for, so as many images are taken together as fit."""
        free_rows = self.owners.count(None)
        batch_size = max(
            1, min(self.decoder.rows // len(self.prompt), math.ceil(self.decoder.rows / self.samples))
        )
        while len(self.pending) < free_rows and self.free_entries:
            batch: list[tuple[str, int, int]] = []
            for _ in range(min(batch_size, len(self.free_entries))):
                if (image := next(images, None)) is None:
                    break
                image_id, random_key, tokens = image
                entry = self.free_entries.pop(0)
                self.decoder.write_image(entry, tokens)
                batch.append((image_id, random_key, entry))
            if not batch:
                return
            yield from self._begin(batch)

    def _begin(self, batch: list[tuple[str, int, int]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Run the prompt of each image (image_id, random key, entry) and draw the first token of each of its
        captions."""
        logits, cache = self.decoder.prefill([entry for _, _, entry in batch], self.prompt)
        images = [_Image(*values, cache[:, :, i].clone()) for i, values in enumerate(batch)]
        starts = [(i, sample) for i in range(len(batch)) for sample in range(self.samples)]
        rows, device = self.decoder.rows, self.decoder.device
        for at in range(0, len(starts), rows):
            part = starts[at : at + rows]
            padded = part + [part[0]] * (rows - len(part))  # the shape never changes
            index = torch.tensor([i for i, _ in padded], device=device)
            sample = torch.tensor([s for _, s in padded], device=device)
            random_key = torch.tensor([key for _, key, _ in batch], device=device)[index]
            history = torch.tensor(self.prompt, device=device).expand(rows, -1)
            length = torch.full((rows,), len(self.prompt), device=device)
            drawn = draw_uniform(random_key, sample, length)
            tokens, logprob = choose_tokens(
                logits[index], history, length, drawn, self.eos, self.settings, self.logits_buffer
            )
            for (i, s), token, value in zip(part, tokens.tolist(), logprob.tolist(), strict=False):
                if token == self.eos or len(self.prompt) + 1 == self.settings.max_length:
                    yield from self._finish(images[i], s, [token], value)
                else:
                    self.pending.append(_Pending(images[i], s, token, value))

    def _assign_rows(self) -> None:
        """Give pending captions the free rows."""
        free = [row for row, owner in enumerate(self.owners) if owner is None]
        taken = [(row, self.pending.popleft()) for row, _ in zip(free, list(self.pending), strict=False)]
        if not taken:
            return
        prompt, device = len(self.prompt), self.decoder.device
        row = torch.tensor([row for row, _ in taken], device=device)
        values = torch.tensor(
            [(p.token, p.image.random_key, p.sample, p.image.entry) for _, p in taken], device=device
        ).unbind(1)
        token, self.random_key[row], self.sample[row], entry = values
        prompt_cache = torch.stack([p.image.prompt_cache for _, p in taken], 2)
        self.decoder.self_cache[:, :, row, :, :prompt] = prompt_cache
        self.history[row, :prompt] = torch.tensor(self.prompt, device=device)
        self.history[row, prompt] = token
        self.length[row] = prompt + 1
        self.logprob[row] = torch.tensor([p.logprob for _, p in taken], dtype=torch.float64, device=device)
        self.row_in_images[row] = entry * self.samples + self.sample[row]
        self.rows_of_images[entry, self.sample[row]] = row
        for number, pending in taken:
            self.owners[number] = (pending.image, pending.sample)

    def _step(self) -> Iterator[tuple[str, list[Tokens]]]:
        """One more token for every row; yield the images whose captions are complete."""
        live = sorted({owner[0].entry for owner in self.owners if owner is not None})
        ended = (self.graph() if self.graph else self._advance(live)).tolist()
        over = [(row, owner) for row, owner in enumerate(self.owners) if owner is not None and ended[row]]
        if over:
            yield from self._release(over)
        # an unused row writes over its own first position
        unused = torch.tensor([owner is None for owner in self.owners], device=self.decoder.device)
        self.length.masked_fill_(unused, 1)

    def _advance(self, live: list[int]) -> Tensor:
        """Draw one more token for every row: which rows have ended, on the device. Reads nothing back, keeps
        its shapes and its memory, so that a GPU can replay it."""
        newest = self.length - 1
        tokens = self.history.gather(1, newest[:, None]).squeeze(1)
        logits = self.decoder.step(tokens, newest, self.rows_of_images, self.row_in_images, live)
        drawn = draw_uniform(self.random_key, self.sample, self.length)
        chosen, logprob = choose_tokens(
            logits, self.history, self.length, drawn, self.eos, self.settings, self.logits_buffer
        )
        self.history.scatter_(1, self.length[:, None], chosen[:, None])
        self.logprob += logprob
        self.length += 1
        return (chosen == self.eos) | (self.length == self.settings.max_length)

    def _release(self, over: list[tuple[int, tuple[_Image, int]]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Free the rows of complete captions."""
        row = torch.tensor([row for row, _ in over], device=self.decoder.device)
        written, lengths = self.history[row].tolist(), self.length[row].tolist()
        logprobs = self.logprob[row].tolist()
        self.rows_of_images.flatten()[self.row_in_images[row]] = self.decoder.rows
        self.row_in_images[row] = 0
        for (number, (image, sample)), ids, length, logprob in zip(
            over, written, lengths, logprobs, strict=True
        ):
            self.owners[number] = None
            yield from self._finish(image, sample, ids[len(self.prompt) : length], logprob)

    def _finish(
        self, image: _Image, sample: int, ids: list[int], logprob: float
    ) -> Iterator[tuple[str, list[Tokens]]]:
        if ids[-1] == self.eos:
            ids = ids[:-1]
        image.captions[sample] = Tokens(ids, logprob)
        if len(image.captions) == self.samples:
            self.free_entries.append(image.entry)
            self.free_entries.sort()
            yield image.image_id, [image.captions[s] for s in range(self.samples)]
