"""What the network is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relforge.stages.parse.learned.model import GraphTagger
from relforge.trainer.parser.examples import SKIP, Example
from relforge.trainer.parser.lessons import Lessons, Taught


def loss(
    tagger: GraphTagger,
    vectors: Tensor,
    batch: Sequence[Example],
    smoothing: float = 0.0,
    lessons: Lessons | None = None,
) -> Tensor:
    """Sum of the tag, frame, filler, ownership and implied-attribute losses of one batch.

    Args:
        vectors: B x L x width word vectors of B captions of exactly L words.
        smoothing: of the gold tags and frames.
        lessons: what teachers say of the captions; their tags, frames and arcs are learnt too.
    """
    size, length = vectors.shape[:2]
    context = tagger.context(vectors)  # B x L x C
    h = context.reshape(size * length, -1)  # BL x C
    tags, rows = _whole([e.tags for e in batch]), _whole([e.tag_rows for e in batch])
    taught = lessons.tags if lessons else None
    total = _classify(tagger.tag(h), tags, smoothing, taught, rows)
    ends = _whole([e.ends + i * length for i, e in enumerate(batch)])
    implied = torch.from_numpy(np.concatenate([e.implied for e in batch]))
    if implied.numel():
        total = total + 0.5 * F.binary_cross_entropy_with_logits(tagger.implied(h[ends]), implied)
    pairs = _whole([e.pairs + i * length * np.array([1, 1, 0, 0]) for i, e in enumerate(batch)])
    if (pairs[:, 2] != SKIP).any():
        subject, obj, frame, filler = pairs.unbind(1)
        made = tagger.pairs(tagger.subject(h)[subject], tagger.object(h)[obj], obj - subject)
        rows = _whole([e.frame_rows for e in batch])
        taught = lessons.frames if lessons else None
        total = total + _classify(tagger.frames(made), frame, smoothing, taught, rows)
        filled = (filler >= 0).nonzero()[:, 0]
        if len(filled):
            key = tagger.key(context)[subject[filled] // length]  # S x L x filler
            scores = (key * tagger.query(made[filled])[:, None]).sum(-1)
            total = total + 0.5 * F.cross_entropy(scores, filler[filled])
    arcs = _whole([e.arcs + i * length * np.array([1, 1, 0]) for i, e in enumerate(batch)])
    if len(arcs):
        attribute, owner, belongs = arcs.unbind(1)
        scores = tagger.arcs(tagger.attribute(h)[attribute], tagger.owner(h)[owner], owner - attribute)
        target = belongs.float()
        if lessons:
            lessons.arcs.mix(target, _whole([e.arc_rows for e in batch]))
        total = total + F.binary_cross_entropy_with_logits(scores, target)
    return total


def _classify(logits: Tensor, gold: Tensor, smoothing: float, taught: Taught | None, rows: Tensor) -> Tensor:
    """Cross-entropy against the gold classes, and against what is taught where it is; `SKIP` is left out."""
    if taught is None:
        return F.cross_entropy(logits, gold, ignore_index=SKIP, label_smoothing=smoothing)
    learnt = gold != SKIP
    target = F.one_hot(gold[learnt], logits.shape[-1]).float()
    taught.mix(target, rows[learnt])
    return F.cross_entropy(logits[learnt], target, label_smoothing=smoothing)


def _whole(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))
