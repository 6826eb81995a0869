"""What the network is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relforge.stages.parse.learned.model import GraphTagger
from relforge.trainer.parser.examples import SKIP, Example


def loss(tagger: GraphTagger, vectors: Tensor, batch: Sequence[Example], smoothing: float = 0.0) -> Tensor:
    """Sum of the tag, frame, filler, ownership and implied-attribute losses of one batch.

    Args:
        vectors: B x L x width word vectors of B captions of exactly L words.
    """
    size, length = vectors.shape[:2]
    context = tagger.context(vectors)  # B x L x C
    h = context.reshape(size * length, -1)  # BL x C
    total = F.cross_entropy(tagger.tag(h), _whole([e.tags for e in batch]), label_smoothing=smoothing)
    ends = _whole([e.ends + i * length for i, e in enumerate(batch)])
    implied = torch.from_numpy(np.concatenate([e.implied for e in batch]))
    if implied.numel():
        total = total + 0.5 * F.binary_cross_entropy_with_logits(tagger.implied(h[ends]), implied)
    pairs = _whole([e.pairs + i * length * np.array([1, 1, 0, 0]) for i, e in enumerate(batch)])
    if (pairs[:, 2] != SKIP).any():
        subject, obj, frame, filler = pairs.unbind(1)
        made = tagger.pairs(tagger.subject(h)[subject], tagger.object(h)[obj], obj - subject)
        total = total + F.cross_entropy(
            tagger.frames(made), frame, ignore_index=SKIP, label_smoothing=smoothing
        )
        filled = (filler >= 0).nonzero()[:, 0]
        if len(filled):
            key = tagger.key(context)[subject[filled] // length]  # S x L x filler
            scores = (key * tagger.query(made[filled])[:, None]).sum(-1)
            total = total + 0.5 * F.cross_entropy(scores, filler[filled])
    arcs = _whole([e.arcs + i * length * np.array([1, 1, 0]) for i, e in enumerate(batch)])
    if len(arcs):
        attribute, owner, belongs = arcs.unbind(1)
        scores = tagger.arcs(tagger.attribute(h)[attribute], tagger.owner(h)[owner], owner - attribute)
        total = total + F.binary_cross_entropy_with_logits(scores, belongs.float())
    return total


def _whole(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))
