"""Beam search as transformers 5 does it, over the shared keys and values of each image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.nucleus import penalise
from relforge.models.blip.sampler import Tokens
from relforge.models.blip.settings import Beams

_NEVER = -1.0e9  # transformers' score of what cannot be chosen


class BeamSearch:
    """The likeliest caption of every image of a stream, per token (length penalty 1).

    Args:
        decoder: sized for `settings.max_length` tokens and `settings.num_beams` rows per image.
    """

    def __init__(
        self, decoder: TextDecoder, prompt: tuple[int, ...], eos: int, pad: int, settings: Beams
    ) -> None:
        if len(prompt) >= settings.max_length:
            raise ValueError(
                f"max_length {settings.max_length} leaves no token after the prompt's {len(prompt)}"
            )
        self.decoder, self.prompt, self.eos, self.pad, self.settings = decoder, prompt, eos, pad, settings
        self.batch_size = min(decoder.rows // settings.num_beams, decoder.rows // len(prompt), decoder.images)
        if self.batch_size < 1:
            raise ValueError(f"{decoder.rows} rows are too few for {settings.num_beams} beams")

    @torch.inference_mode()
    def run(self, images: Iterator[tuple[str, int, Tensor]]) -> Iterator[tuple[str, list[Tokens]]]:
        """Caption a stream of images: the counterpart of `Sampler.run`, one caption each."""
        while batch := list(islice(images, self.batch_size)):
            for entry, (_, _, tokens) in enumerate(batch):
                self.decoder.write_image(entry, tokens)
            captions = self._search(len(batch))
            for (image_id, _, _), caption in zip(batch, captions, strict=True):
                yield image_id, [caption]

    def _search(self, n: int) -> list[Tokens]:
        """Best captions of the images in entries 0..n-1 of the cross-attention cache. Scores are always
        computed for a full batch of images."""
        decoder, settings, prompt = self.decoder, self.settings, len(self.prompt)
        beams, groups, device = settings.num_beams, self.batch_size, decoder.device
        first, cache = decoder.prefill(list(range(n)), self.prompt)
        rows = torch.arange(groups * beams, device=device)
        image = torch.arange(groups, device=device).clamp(max=n - 1)  # the spare groups repeat the last image
        decoder.self_cache[:, :, : groups * beams, :, :prompt] = cache[:, :, image.repeat_interleave(beams)]
        rows_of_images = torch.full((decoder.images, decoder.samples), decoder.rows, device=device)
        rows_of_images[:n, :beams] = rows.view(groups, beams)[:n]
        row_in_images = torch.zeros(decoder.rows, dtype=torch.long, device=device)
        row_in_images[: n * beams] = (rows // beams * decoder.samples + rows % beams)[: n * beams]

        state = _Hypotheses(groups, beams, self.prompt, self.pad, settings.max_length, device)
        logits = first[image].repeat_interleave(beams, 0)  # groups*beams x vocabulary
        for length in range(prompt, settings.max_length):
            history = state.running[:, :, :length].flatten(0, 1)
            scores = penalise(
                logits.log_softmax(-1),
                history,
                history.new_full((len(history),), length),
                settings.repetition_penalty,
            )
            if length < settings.min_length:
                scores[:, self.eos] = float("-inf")
            parents = state.extend(scores.view(groups, beams, -1), length, prompt, self.eos)
            if not state.can_improve(n) or length + 1 == settings.max_length:
                break
            decoder.self_cache[:, :, : groups * beams] = decoder.self_cache[:, :, parents]
            tokens = torch.zeros(decoder.rows, dtype=torch.long, device=device)
            tokens[: groups * beams] = state.running[:, :, length].flatten()
            positions = torch.full_like(tokens, length)
            logits = decoder.step(tokens, positions, rows_of_images, row_in_images, list(range(n)))
            logits = logits[: groups * beams]
        return [state.best(i, prompt, self.eos) for i in range(n)]


class _Hypotheses:
    """Running and finished hypotheses of each image, best first."""

    def __init__(
        self, groups: int, beams: int, prompt: tuple[int, ...], pad: int, length: int, device: torch.device
    ) -> None:
        self.running = torch.full((groups, beams, length), pad, dtype=torch.long, device=device)
        self.running[:, :, : len(prompt)] = torch.tensor(prompt, device=device)
        self.finished = self.running.clone()
        self.lengths = torch.full((groups, beams), len(prompt), device=device)  # of the finished ones
        # only the first beam counts at first, or all beams would be the same
        self.running_scores = torch.full((groups, beams), _NEVER, device=device)
        self.running_scores[:, 0] = 0.0
        self.scores = torch.full((groups, beams), _NEVER, device=device)
        self.totals = torch.zeros(groups, beams, device=device)  # log-probability, not per token
        self.done = torch.zeros(groups, beams, dtype=torch.bool, device=device)
        self.improvable = torch.ones(groups, 1, dtype=torch.bool, device=device)
        self.continues = True

    def extend(self, scores: Tensor, length: int, prompt: int, eos: int) -> Tensor:
        """Extend the hypotheses by one token, given its log-probabilities (groups x beams x vocabulary).

        Returns:
            groups*beams: the row (0 .. groups*beams-1) that each running beam continues.
        """
        groups, beams, vocabulary = scores.shape
        total = (scores + self.running_scores[:, :, None]).flatten(1)
        values, flat = total.topk(2 * beams, dim=1)  # enough that `beams` of them continue
        parent, token = flat // vocabulary, flat % vocabulary
        grown = _pick(self.running, parent)
        grown[:, :, length] = token
        ends = token == eos
        if length + 1 == self.running.shape[2]:
            ends = torch.ones_like(ends)
        self.continues = not bool(ends.all())

        going = values + ends * _NEVER
        keep = going.topk(beams, dim=1)[1]
        self.running, self.running_scores = _pick(grown, keep), going.gather(1, keep)

        # only the likeliest `beams` may end: the others are spares
        eligible = ends & (torch.arange(2 * beams, device=ends.device) < beams)
        per_token = values / (length + 1 - prompt)
        per_token = per_token + ~self.improvable * _NEVER + ~eligible * _NEVER
        merged = torch.cat([self.scores, per_token], 1)
        best = merged.topk(beams, dim=1)[1]
        self.scores = merged.gather(1, best)
        self.finished = _pick(torch.cat([self.finished, grown], 1), best)
        self.totals = torch.cat([self.totals, values], 1).gather(1, best)
        self.lengths = torch.cat([self.lengths, torch.full_like(token, length + 1)], 1).gather(1, best)
        self.done = torch.cat([self.done, eligible], 1).gather(1, best)

        reachable = self.running_scores[:, :1] / (length + 1 - prompt)
        worst = torch.where(self.done, self.scores.min(1, keepdim=True)[0], _NEVER)
        self.improvable = self.improvable & (reachable > worst).any(1, keepdim=True)
        offset = torch.arange(groups, device=parent.device)[:, None] * beams
        return (parent.gather(1, keep) + offset).flatten()

    def can_improve(self, n: int) -> bool:
        """Whether a better caption of one of the first n images may still come."""
        return self.continues and bool(self.improvable[:n].any())

    def best(self, group: int, prompt: int, eos: int) -> Tokens:
        ids = self.finished[group, 0, prompt : int(self.lengths[group, 0])].tolist()
        return Tokens(ids[:-1] if ids and ids[-1] == eos else ids, float(self.totals[group, 0]))


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """groups x beams' x length at groups x beams."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))
