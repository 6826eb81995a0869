"""The published labelling function on the same engine: groups of pairs, scored against all their texts.

Used by the `compat` profile. A pair is scored against the texts of every group of its call, and any text
above the threshold is kept, whichever pair proposed it (docs/method.md, "Candidates and groups").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from relforge.tagger.engine import Engine
from relforge.tagger.packing import Pair
from relforge.tagger.predictions import best_class_probabilities
from relforge.tagger.request import Request

Group = tuple[list[Pair], list[str]]
"""Up to 100 pairs (with repeats) and their distinct texts in first-seen order."""


@dataclass
class Row:
    """One relation above the threshold."""

    pair: Pair
    text: str
    score: float
    subject_score: float
    object_score: float


@torch.inference_mode()
def label_groups(
    engine: Engine,
    request: Request,
    groups: Sequence[Group],
    *,
    groups_per_call: int = 16,
    threshold: float = 0.05,
) -> list[Row]:
    """Relations of one image, in the published order (call, group, query, text).

    The published function repeats the image for every group of a call; here it is encoded once per call,
    which gives the same numbers.

    Args:
        engine: of an R-Tagger; its batching options are not used.
        request: the image; its candidates are not read.
        groups: in order; empty ones give nothing.
        groups_per_call: groups whose texts are merged (`--img_inference_batch`).
        threshold: scores must be above it.
    """
    rows: list[Row] = []
    for start in range(0, len(groups), groups_per_call):
        call = groups[start : start + groups_per_call]
        texts = list(dict.fromkeys(text for _, own in call for text in own))
        filled = [pairs for pairs, _ in call if pairs]
        if filled:
            rows += _label_call(engine, replace(request, candidates=()), filled, texts, threshold)
    return rows


def _label_call(
    engine: Engine, request: Request, filled: list[list[Pair]], texts: list[str], threshold: float
) -> list[Row]:
    layout = engine.layout([request], [texts])
    rows: list[Row] = []
    absent = None if layout.padding is None else layout.padding[:, : layout.objects]
    with engine.precision():
        memory = engine.encode([request], layout)
        for first, prediction in engine.decode([request], memory, layout, [filled]):
            scores = prediction.relation_logits[:, :, : len(texts)].float().sigmoid()  # the rest is padding
            ends = best_class_probabilities(prediction, absent)
            for number, pairs in enumerate(filled[first : first + len(scores)]):
                for query, text in (scores[number, : len(pairs)] > threshold).nonzero().tolist():
                    score, subject, object_ = (
                        float(scores[number, query, text]),
                        float(ends[0][number, query]),
                        float(ends[1][number, query]),
                    )
                    rows.append(Row(pairs[query], texts[text], score, subject, object_))
    return rows
