"""The published labelling procedure, on our blocks: the peer of `benchmarks/tagger.py`.

One image per step; its pixels repeated once per group of 100 pairs, up to 16 in a batch, through backbone
and encoder; RoBERTa for every class name and text of every step; every decoder layer classified
(docs/method.md, "Candidates and groups").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from relforge.models.blocks.pair_queries import pad_pairs
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.tagger.request import Request

Group = tuple[list[tuple[int, int]], list[str]]


@torch.inference_mode()
def published_procedure(
    model: Any,
    request: Request,
    images: torch.Tensor,
    groups: Sequence[Group],
    groups_per_call: int = 16,
    threshold: float = 0.05,
) -> list[tuple[tuple[int, int], str, float]]:
    """Relations (pair, text, score) of one image above the threshold, in the published order.

    Args:
        model: an R-Tagger.
        images: 1 x 3 x H x W float32, normalised, on the model's device.
        groups: of the image, the trailing empty one included.
    """
    index = {name: i for i, name in enumerate(request.classes)}
    width = min(100, model.max_pairs)
    label = torch.tensor([index[name] for name in request.labels])
    found = []
    for start in range(0, len(groups), groups_per_call):
        call = groups[start : start + groups_per_call]
        texts = list(dict.fromkeys(text for _, own in call for text in own))
        names = [*request.classes, NO_OBJECTS]
        pairs = [torch.tensor(own, dtype=torch.long).reshape(-1, 2) for own, _ in call]
        given = pad_pairs([request.boxes[p] for p in pairs], [label[p] for p in pairs], width)
        given = given.to(images.device)
        images_of_call = images.repeat(len(call), 1, 1, 1)
        last = model(images_of_call, Labels(names, texts), None, given).layers[-1]
        scores = last.relation_logits.sigmoid()
        for number, (own, _) in enumerate(call):
            for query, text in (scores[number, : len(own)] > threshold).nonzero().tolist():
                found.append((own[query], texts[text], float(scores[number, query, text])))
    return found
