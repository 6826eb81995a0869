"""Nucleus sampling on a GPU that is never idle: the host reads what a step wrote while the next one runs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from relforge.kernels.decoding.state import HISTORY, KEY, LENGTH, LOGPROB, RUNNING, SAMPLE, allocate
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.fused_decoder import AT_ONCE, OPS, FusedDecoder
from relforge.models.blip.sampler import Tokens
from relforge.models.blip.settings import Nucleus
from relforge.models.cuda_graph import Work, capture
from relforge.models.gpu import ReadBack, upload


@dataclass(eq=False)
class _Image:
    image_id: str
    random_key: int
    entry: int  # of the caches
    captions: dict[int, Tokens] = field(default_factory=dict)  # by sample index


@dataclass(eq=False, frozen=True)
class _Caption:
    """A caption that waits for a row, or grows in one."""

    image: _Image
    sample: int


class GpuSampler:
    """Draws N captions of every image of a stream, as `Sampler` does, in the kernels of `kernels.decoding`.

    Rows that end stop by themselves, on the GPU; the host learns it one step later, so that it can start the
    next step before it reads the last one. A step copies one tensor each way.

    Args:
        decoder: sized for `settings.max_length` tokens and `samples` captions per image, with one entry of
            the cross-attention cache to spare.
        prompt: token ids every caption starts with.
        eos: the token that ends a caption.
        graphs: replay a step, and the prompts of a batch, as one CUDA graph each where they can be captured.
    """

    def __init__(
        self,
        decoder: TextDecoder,
        prompt: tuple[int, ...],
        eos: int,
        settings: Nucleus,
        samples: int,
        graphs: bool,
    ) -> None:
        if len(prompt) >= settings.max_length:
            raise ValueError(
                f"max_length {settings.max_length} leaves no token after the prompt's {len(prompt)}"
            )
        self.decoder, self.prompt, self.eos = decoder, prompt, eos
        self.settings, self.samples = settings, samples
        rows, device = decoder.rows, decoder.device
        self.device, self.spare = device, decoder.images - 1
        self.capacity = max(1, min(rows // len(prompt), math.ceil(rows / samples), self.spare))
        self.fused = FusedDecoder(decoder, prompt, self.capacity)
        self.state = allocate(rows, settings.max_length, device)
        self.rows_of_images = torch.full((decoder.images, samples), rows, dtype=torch.long, device=device)
        self.table = torch.full((decoder.images, samples), rows)  # the same on the host
        # states of captions after their first token, by entry and sample
        self.first = allocate(decoder.images * samples, settings.max_length, device)
        self.top_p = torch.tensor([settings.top_p], dtype=torch.float64, device=device)
        self.inputs = [part.to(device) for part in self._prompt_inputs([])]
        self.owners: list[_Caption | None] = [None] * rows
        self.free_entries = list(range(self.spare))
        self.pending: deque[_Caption] = deque()
        work: list[Work] = [self._advance, self._run_prompts]
        self.note = "off"
        if graphs:
            # rows without a caption are left alone, so the warm-up changes nothing that is read
            work, self.note = capture(work, device)
        self.advance, self.begin = work

    @torch.inference_mode()
    def run(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Caption a stream of images: the counterpart of `Sampler.run`."""
        before: tuple[ReadBack, list[_Caption | None]] | None = None
        while True:
            self._refill(images)
            self._assign_rows()
            running = (ReadBack(self.advance()), list(self.owners)) if any(self.owners) else None
            if before is not None:
                yield from self._collect(*before)
            before = running
            if before is None and not self.pending:
                return

    def _refill(self, images: Iterator[tuple[str, int, Tensor]]) -> None:
        """Take images until every free row has a pending caption, as many together as fit."""
        free_rows = self.owners.count(None)
        while len(self.pending) < free_rows and self.free_entries:
            found = list(islice(images, min(self.capacity, len(self.free_entries))))
            if not found:
                return
            batch = [_Image(image_id, key, self.free_entries.pop(0)) for image_id, key, _ in found]
            there = upload(self.device, *self._prompt_inputs(batch))
            for kept, new in zip(self.inputs, there, strict=True):
                kept.copy_(new)
            tokens = [one for *_, one in found]
            for start in range(0, len(tokens), AT_ONCE):
                part = tokens[start : start + AT_ONCE]
                part += [part[0]] * (AT_ONCE - len(part))  # the shape never changes
                self.fused.write_images(self.inputs[0][start : start + AT_ONCE], torch.stack(part))
            self.begin()
            self.pending += [_Caption(image, sample) for image in batch for sample in range(self.samples)]

    def _prompt_inputs(self, batch: list[_Image]) -> list[Tensor]:
        """What `_run_prompts` reads of a batch of images, which is filled up with the spare entry: entries,
        rows of each image's prompt, states of its captions, the logits that each draws from, and where its
        state is kept."""
        steps, rows, samples = len(self.prompt), self.decoder.rows, self.samples
        entries = torch.full((math.ceil(self.capacity / AT_ONCE) * AT_ONCE,), self.spare)
        table = torch.full((self.decoder.images, steps), rows)
        state = allocate(self.capacity * samples, self.settings.max_length, torch.device("cpu"))
        image = torch.arange(self.capacity)
        source = (image * steps + steps - 1).repeat_interleave(samples)
        target = torch.full((self.capacity * samples,), self.spare * samples)
        for i, one in enumerate(batch):
            entries[i] = one.entry
            table[one.entry] = torch.arange(i * steps, (i + 1) * steps)
            own = slice(i * samples, (i + 1) * samples)
            state[own, RUNNING], state[own, LENGTH], state[own, KEY] = 1, steps, one.random_key
            state[own, SAMPLE] = torch.arange(samples)
            target[own] = torch.arange(one.entry * samples, (one.entry + 1) * samples)
        state[:, HISTORY : HISTORY + steps] = torch.tensor(self.prompt)
        return [entries, table, state, source, target]

    def _run_prompts(self) -> Tensor:
        """Run the prompts of a batch and draw the first token of each caption."""
        entries, table, state, source, target = self.inputs
        logits, bias = self.fused.prefill(entries[: self.capacity], table)
        self._choose(logits, bias, state, source)
        return self.first.index_copy_(0, target, state)

    def _advance(self) -> Tensor:
        """Draw one more token for every running row; reads nothing back and keeps its memory."""
        logits, bias = self.fused.step(self.state, self.rows_of_images)
        self._choose(logits, bias, self.state, None)
        return self.state

    def _choose(self, logits: Tensor, bias: Tensor | None, state: Tensor, source: Tensor | None) -> None:
        own = self.settings
        OPS.decoder_choose(
            logits,
            bias,
            state,
            source,
            self.top_p,
            own.top_k,
            self.eos,
            own.min_length,
            own.temperature,
            own.repetition_penalty,
        )

    def _assign_rows(self) -> None:
        """Give pending captions the free rows."""
        free = [row for row, owner in enumerate(self.owners) if owner is None]
        taken = [(row, self.pending.popleft()) for row, _ in zip(free, list(self.pending), strict=False)]
        if not taken:
            return
        for row, caption in taken:
            self.owners[row] = caption
            self.table[caption.image.entry, caption.sample] = row
        numbers = torch.tensor([(row, one.image.entry, one.sample) for row, one in taken])
        row, entry, source, table = upload(
            self.device,
            numbers[:, 0].contiguous(),
            numbers[:, 1].contiguous(),
            numbers[:, 1] * self.samples + numbers[:, 2],
            self.table,
        )
        self.rows_of_images.copy_(table)
        self.state.index_copy_(0, row, self.first[source])
        caches = self.decoder.self_cache
        caches[:, :, row, :, : len(self.prompt)] = self.fused.prompt_caches[:, :, entry]

    def _collect(
        self, written: ReadBack, owners: list[_Caption | None]
    ) -> Iterator[tuple[str, list[Tokens]]]:
        """Free the rows whose captions a step has ended; yield the images that are complete.

        Args:
            written: the state after the step.
            owners: of the rows in that step.
        """
        state = written.wait()
        for row in (state[:, RUNNING] == 0).nonzero()[:, 0].tolist():
            caption = owners[row]
            if caption is None or self.owners[row] is not caption:  # released a step ago
                continue
            self.owners[row] = None
            image, own = caption.image, state[row]
            self.table[image.entry, caption.sample] = self.decoder.rows
            ids = own[HISTORY + len(self.prompt) : HISTORY + int(own[LENGTH])].tolist()
            logprob = float(own[LOGPROB : LOGPROB + 1].view(torch.float64))
            image.captions[caption.sample] = Tokens(ids[:-1] if ids[-1] == self.eos else ids, logprob)
            if len(image.captions) == self.samples:
                self.free_entries.append(image.entry)
                self.free_entries.sort()
                yield image.image_id, [image.captions[s] for s in range(self.samples)]
