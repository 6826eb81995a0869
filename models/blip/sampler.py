"""Continuous batching: captions leave the tile as they end, and the next image's take their rows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.nucleus import Nucleus, choose
from relforge.models.blip.recorded import Recorded
from relforge.models.blip.uniform import uniform


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
    name: str
    key: int
    slot: int
    prompt_cache: Tensor  # depth x 2 x heads x prompt x head width
    captions: dict[int, Tokens] = field(default_factory=dict)  # by sample index


@dataclass(frozen=True)
class _Start:
    """A caption that has its first token and waits for a row."""

    image: _Image
    sample: int
    token: int
    logprob: float


class Sampler:
    """Draws N captions of every image of a stream.

    A caption is a function of the model, the settings, its image and its key alone: each row is computed in
    products of fixed shape, and its random numbers are counted, not drawn in turn.

    Args:
        decoder: sized for `how.max_length` tokens and `samples` captions per image.
        prompt: token ids every caption starts with.
        eos: the token that ends a caption.
        graphs: replay a step's work as one CUDA graph; needs a GPU.
    """

    def __init__(
        self,
        decoder: TextDecoder,
        prompt: tuple[int, ...],
        eos: int,
        how: Nucleus,
        samples: int,
        graphs: bool = False,
    ) -> None:
        if len(prompt) >= how.max_length:
            raise ValueError(
                f"max_length {how.max_length} leaves no room after the prompt's {len(prompt)} tokens"
            )
        self.decoder, self.prompt, self.eos, self.how, self.samples = decoder, prompt, eos, how, samples
        rows, device = decoder.rows, decoder.device
        self.history = torch.full((rows, how.max_length), prompt[0], dtype=torch.long, device=device)
        self.length = torch.ones(rows, dtype=torch.long, device=device)
        self.key = torch.zeros(rows, dtype=torch.long, device=device)
        self.sample = torch.zeros(rows, dtype=torch.long, device=device)
        self.logprob = torch.zeros(rows, dtype=torch.float64, device=device)
        self.home = torch.zeros(rows, dtype=torch.long, device=device)
        self.room = torch.empty(rows, decoder.shape.vocabulary, device=device)
        self.members = torch.full((decoder.images, samples), rows, dtype=torch.long, device=device)
        self.occupant: list[tuple[_Image, int] | None] = [None] * rows
        self.free_slots = list(range(decoder.images))
        self.waiting: deque[_Start] = deque()
        self.recorded: Recorded | None = None
        if graphs:
            self.recorded = Recorded(lambda: self._advance([]), device)
            self.length.fill_(1)

    @torch.inference_mode()
    def run(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Caption a stream of images.

        Args:
            images: (name, key, image tokens x vision width); taken only when there is room for them.

        Yields:
            (name, captions in sample order), in order of completion.
        """
        while True:
            yield from self._refill(images)
            self._admit()
            if not any(self.occupant):
                return
            yield from self._step()

    def _refill(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Bring in images until every free row has a caption waiting for it. Their prompts take a pass over
        the whole tile, however few they are, so they come as many together as there is room for."""
        free_rows = self.occupant.count(None)
        at_once = max(
            1, min(self.decoder.rows // len(self.prompt), math.ceil(self.decoder.rows / self.samples))
        )
        while len(self.waiting) < free_rows and self.free_slots:
            batch: list[tuple[str, int, int]] = []
            for _ in range(min(at_once, len(self.free_slots))):
                if (image := next(images, None)) is None:
                    break
                name, key, tokens = image
                slot = self.free_slots.pop(0)
                self.decoder.look(slot, tokens)
                batch.append((name, key, slot))
            if not batch:
                return
            yield from self._begin(batch)

    def _begin(self, batch: list[tuple[str, int, int]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Run the prompt of each image and draw the first token of each of its captions."""
        logits, cache = self.decoder.prefill([slot for _, _, slot in batch], self.prompt)
        images = [_Image(*entry, cache[:, :, i].clone()) for i, entry in enumerate(batch)]
        starts = [(i, sample) for i in range(len(batch)) for sample in range(self.samples)]
        rows, device = self.decoder.rows, self.decoder.device
        for at in range(0, len(starts), rows):
            part = starts[at : at + rows]
            padded = part + [part[0]] * (rows - len(part))  # the shape never changes
            index = torch.tensor([i for i, _ in padded], device=device)
            sample = torch.tensor([s for _, s in padded], device=device)
            key = torch.tensor([entry[1] for entry in batch], device=device)[index]
            history = torch.tensor(self.prompt, device=device).expand(rows, -1)
            length = torch.full((rows,), len(self.prompt), device=device)
            drawn = uniform(key, sample, length)
            tokens, logprob = choose(logits[index], history, length, drawn, self.eos, self.how, self.room)
            for (i, s), token, value in zip(part, tokens.tolist(), logprob.tolist(), strict=False):
                if token == self.eos or len(self.prompt) + 1 == self.how.max_length:
                    yield from self._finish(images[i], s, [token], value)
                else:
                    self.waiting.append(_Start(images[i], s, token, value))

    def _admit(self) -> None:
        """Give waiting captions the free rows."""
        free = [row for row, occupant in enumerate(self.occupant) if occupant is None]
        taken = [(row, self.waiting.popleft()) for row, _ in zip(free, list(self.waiting), strict=False)]
        if not taken:
            return
        prompt, device = len(self.prompt), self.decoder.device
        row = torch.tensor([row for row, _ in taken], device=device)
        whose = torch.tensor(
            [(s.token, s.image.key, s.sample, s.image.slot) for _, s in taken], device=device
        ).unbind(1)
        token, self.key[row], self.sample[row], slot = whose
        self.decoder.cache[:, :, row, :, :prompt] = torch.stack([s.image.prompt_cache for _, s in taken], 2)
        self.history[row, :prompt] = torch.tensor(self.prompt, device=device)
        self.history[row, prompt] = token
        self.length[row] = prompt + 1
        self.logprob[row] = torch.tensor([s.logprob for _, s in taken], dtype=torch.float64, device=device)
        self.home[row] = slot * self.samples + self.sample[row]
        self.members[slot, self.sample[row]] = row
        for place, start in taken:
            self.occupant[place] = (start.image, start.sample)

    def _step(self) -> Iterator[tuple[str, list[Tokens]]]:
        """One more token for every row; hand over the captions that are complete."""
        live = sorted({entry[0].slot for entry in self.occupant if entry is not None})
        ended = (self.recorded() if self.recorded else self._advance(live)).tolist()
        over = [(row, entry) for row, entry in enumerate(self.occupant) if entry is not None and ended[row]]
        if over:
            yield from self._release(over)
        # a dead row writes over its own first place
        dead = torch.tensor([entry is None for entry in self.occupant], device=self.decoder.device)
        self.length.masked_fill_(dead, 1)

    def _advance(self, live: list[int]) -> Tensor:
        """Draw one more token for every row: which rows have ended, on the device. Reads nothing back, keeps
        its shapes and its memory, so that a GPU can replay it."""
        newest = self.length - 1
        tokens = self.history.gather(1, newest[:, None]).squeeze(1)
        logits = self.decoder.step(tokens, newest, self.members, self.home, live)
        drawn = uniform(self.key, self.sample, self.length)
        chosen, logprob = choose(logits, self.history, self.length, drawn, self.eos, self.how, self.room)
        self.history.scatter_(1, self.length[:, None], chosen[:, None])
        self.logprob += logprob
        self.length += 1
        return (chosen == self.eos) | (self.length == self.how.max_length)

    def _release(self, over: list[tuple[int, tuple[_Image, int]]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Free the rows of complete captions."""
        row = torch.tensor([row for row, _ in over], device=self.decoder.device)
        written, lengths = self.history[row].tolist(), self.length[row].tolist()
        logprobs = self.logprob[row].tolist()
        self.members.flatten()[self.home[row]] = self.decoder.rows
        self.home[row] = 0
        for (place, (image, sample)), ids, length, logprob in zip(
            over, written, lengths, logprobs, strict=True
        ):
            self.occupant[place] = None
            yield from self._finish(image, sample, ids[len(self.prompt) : length], logprob)

    def _finish(
        self, image: _Image, sample: int, ids: list[int], logprob: float
    ) -> Iterator[tuple[str, list[Tokens]]]:
        if ids[-1] == self.eos:
            ids = ids[:-1]
        image.captions[sample] = Tokens(ids, logprob)
        if len(image.captions) == self.samples:
            self.free_slots.append(image.slot)
            self.free_slots.sort()
            yield image.name, [image.captions[s] for s in range(self.samples)]
