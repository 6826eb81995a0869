"""Losses of the labels of whole images: logits N x C against `ImageTargets.interactions`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from relforge.models.training.image_targets import ImageTargets

ImageLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits, targets, weights), N x C each, to one number."""


def lse_sign(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Log-sum-exp of signed logits, one value per image: log(1 + sum_c w_c exp(-y_c z_c)).

    DEFR (arXiv 2112.06392). The gradient of an image is bounded and goes to the classes that are most wrong.
    Anything but exactly 1 is a negative. The release flips the caller's logits in place; here they stay.

    Args:
        logits: N x C.
        targets: N x C.
        weights: N x C in [0, 1], None: ones; a class of weight 0 takes no part.
    """
    exponents = torch.where(targets == 1, -logits, logits).float()
    if weights is not None:
        exponents = exponents + weights.log()
    return torch.cat([exponents, exponents.new_zeros(len(exponents), 1)], 1).logsumexp(1)


def _lse_sign_mean(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return lse_sign(logits, targets, weights).mean()


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor, positive_weight: Tensor | None = None
) -> Tensor:
    """Mean over images and classes.

    Args:
        positive_weight: C, of the positives.
    """
    hard = (targets == 1).float()
    positive = None if positive_weight is None else positive_weight.to(logits)
    return F.binary_cross_entropy_with_logits(logits.float(), hard, weights, pos_weight=positive)


def focal(logits: Tensor, targets: Tensor, weights: Tensor, alpha: float = 0.25, gamma: float = 2) -> Tensor:
    """Focal loss, element-wise, N x C."""
    positive = targets == 1
    right = torch.where(positive, logits, -logits).float()
    balance = torch.where(positive, alpha, 1 - alpha)
    return -weights * balance * (1 - right.sigmoid()) ** gamma * F.logsigmoid(right)


def _focal_mean(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return focal(logits, targets, weights).mean()


WEIGHTED = "weighted_bce"
LOSSES: dict[str, ImageLoss] = {
    "lse_sign": _lse_sign_mean,
    "bce": binary_cross_entropy,
    "focal": _focal_mean,
}


class InteractionLosses:
    """The loss of a model that labels whole images.

    Args:
        loss: `lse_sign`, `bce`, `weighted_bce` or `focal`.
        positive_weight: of `weighted_bce`, one number per class: negatives / positives of the training list;
            the recipe knows them.

    Raises:
        ValueError: an unknown loss, or `weighted_bce` without weights.
    """

    def __init__(self, loss: str = "lse_sign", positive_weight: Sequence[float] | None = None) -> None:
        if loss == WEIGHTED:
            if positive_weight is None:
                raise ValueError("losses.positive_weight: weighted_bce needs a number for every class")
            self._loss: ImageLoss = partial(
                binary_cross_entropy, positive_weight=torch.tensor(positive_weight)
            )
        elif loss in LOSSES:
            self._loss = LOSSES[loss]
        else:
            raise ValueError(f"losses.loss: {loss!r}; choose one of {', '.join([*LOSSES, WEIGHTED])}")
        if positive_weight is not None and loss != WEIGHTED:
            raise ValueError(f"losses.positive_weight: {loss} has none; leave it out or use weighted_bce")

    def __call__(self, output: Tensor, targets: list[ImageTargets], pairs: float) -> dict[str, Tensor]:
        """`total` of logits N x C; `pairs` plays no part."""
        wanted = torch.stack([target.interactions for target in targets])
        weights = torch.stack([target.weights for target in targets])
        return {"total": self._loss(output, wanted, weights)}


def interaction_losses(
    *, published: bool = False, loss: str = "lse_sign", positive_weight: Sequence[float] | None = None
) -> InteractionLosses:
    """As a family states its losses; the published training is the same."""
    return InteractionLosses(loss, positive_weight)
