"""A two-layer perceptron fitted to features of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional as F

from relforge.stages.ground.perceptron import LIMIT, Perceptron


@dataclass(frozen=True)
class Settings:
    """How it is fitted.

    Args:
        hidden: units of either layer.
        epochs, batch_size, rate, decay: of AdamW, whose rate falls to 0 along a cosine.
        dropout: of hidden units.
        hide: share of the rows in each batch whose word vectors are zeros, as those of words never seen are.
    """

    hidden: int = 64
    epochs: int = 5
    batch_size: int = 1024
    rate: float = 3e-3
    decay: float = 0.03
    dropout: float = 0.2
    hide: float = 0.3


def fit(
    features: np.ndarray,
    right: np.ndarray,
    weight: np.ndarray,
    words: int,
    seed: int,
    settings: Settings | None = None,
) -> Perceptron:
    """Minimise the weighted cross-entropy.

    Args:
        features: N x F; the last `words` columns are word vectors.
        right: N, 0 to 1; or N x outputs.
        weight: N.
    """
    settings = settings or Settings()
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    deviation[deviation < 1e-5] = 1.0
    x = torch.from_numpy(np.clip((features - mean) / deviation, -LIMIT, LIMIT).astype(np.float32))
    blank = torch.from_numpy(np.clip(-mean / deviation, -LIMIT, LIMIT).astype(np.float32))
    y, w = (
        torch.from_numpy(one.astype(np.float32).reshape(len(x), -1))
        for one in (right, weight / weight.mean())
    )
    sizes = [x.shape[1], settings.hidden, settings.hidden, y.shape[1]]
    layers = [
        (torch.randn(b, a, generator=generator) * (2 / a) ** 0.5, torch.zeros(b)) for a, b in pairwise(sizes)
    ]
    parameters = [one.requires_grad_() for layer in layers for one in layer]
    optimiser = torch.optim.AdamW(parameters, settings.rate, weight_decay=settings.decay)
    steps = settings.epochs * max(1, len(x) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(settings.epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in order.split(settings.batch_size)[: max(1, len(x) // settings.batch_size)]:
            batch = x[rows].clone()
            hidden = torch.rand(len(rows), generator=generator) < settings.hide
            batch[hidden, x.shape[1] - words :] = blank[x.shape[1] - words :]
            state = batch
            for weights, bias in layers[:-1]:
                state = F.relu(F.linear(state, weights, bias))
                kept = torch.rand(state.shape, generator=generator) >= settings.dropout
                state = state * kept / (1 - settings.dropout)
            logits = F.linear(state, *layers[-1])
            loss = F.binary_cross_entropy_with_logits(logits, y[rows], w[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Perceptron(mean, deviation, [(a.detach().numpy(), b.detach().numpy()) for a, b in layers])
