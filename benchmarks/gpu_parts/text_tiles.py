"""B5: a label's feature does not depend on the other labels of its tile, nor on its place there."""

from __future__ import annotations

import torch

from gpu_parts import tagger as made
from gpu_parts.recorder import Recorder
from relforge.tagger.text_cache import GPU_TILE, TextFeatures


def run(recorder: Recorder) -> None:
    encoder = made.encoder(recorder).to(recorder.device)
    together = TextFeatures(encoder, "0" * 64, tile=GPU_TILE).get(made.LABELS)
    worst, equal = 0.0, 0
    chosen = range(0, len(made.LABELS), 20 if recorder.tiny else 4)
    for number in chosen:
        alone = TextFeatures(encoder, "0" * 64, tile=GPU_TILE).get([made.LABELS[number]])[0]
        worst = max(worst, float((alone - together[number]).abs().max()))
        equal += torch.equal(alone, together[number])
    recorder.figure("largest difference of a feature", worst, "", equal=equal, of=len(chosen))
    recorder.check("features in a tile agree", worst < 1e-5, difference=worst)
