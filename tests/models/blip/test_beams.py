"""Beam search gives transformers' own captions and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BlipForConditionalGeneration

from relforge.images.resize import normalise
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import load
from relforge.models.blip.settings import Beams


@pytest.mark.parametrize(
    ("beams", "penalty", "max_length"), [(3, 1.0, 20), (2, 1.0, 9), (5, 1.3, 14), (1, 1.0, 12)]
)
def test_captions_and_scores_are_transformers(
    folder: Path,
    model: BlipForConditionalGeneration,
    pixels: Callable[[int], torch.Tensor],
    beams: int,
    penalty: float,
    max_length: int,
) -> None:
    settings = Beams(beams, penalty, max_length=max_length)
    captioner = BlipCaptioner(load(str(folder)), settings, 1, torch.device("cpu"), rows=16)
    images = [pixels(n) for n in range(12)]
    ours = dict(captioner.strategy.run(captioner.encode_stream((str(n), 0, p) for n, p in enumerate(images))))
    prompt = captioner.checkpoint.prompt
    options: dict[str, Any] = {"num_beams": beams, "repetition_penalty": penalty, "max_length": max_length}
    lengths = set()
    for n, image in enumerate(images):
        ready = normalise(image[None], captioner.checkpoint.mean, captioner.checkpoint.std)
        out = model.generate(
            pixel_values=ready,
            input_ids=torch.tensor([[2, *prompt[1:], 3]]),
            min_length=5,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        theirs = out.sequences[0, len(prompt) :].tolist()
        ended = 3 in theirs
        theirs = theirs[: theirs.index(3)] if ended else theirs
        (caption,) = ours[str(n)]
        assert caption.ids == theirs
        if beams > 1:  # one beam is greedy search there, which keeps no score
            score = caption.logprob / (len(theirs) + ended)
            assert score == pytest.approx(float(out.sequences_scores[0]), abs=1e-4)
        lengths.add(len(theirs))
    assert len(lengths) > 1  # early and late endings both occur
