"""DEFR's classifiers: one row per interaction, which a sentence encoder may have written."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.defr.sizes import Sizes


class Classifier(nn.Module):
    """Features to logits.

    Args:
        sizes: `head` says which of
            `cosine`: scale * unit(feature) . unit(row);
            `linear`: row . (scale * unit(feature)) + bias, rows of unit length at the start;
            `mixed`: cosine with rows that are a trained mixture, the identity at the start, of rows that
            stay. With `log_scale` exactly 0 the feature is not normalised.
        classes: interactions, C.
    """

    def __init__(self, sizes: Sizes, classes: int) -> None:
        super().__init__()
        width = sizes.feature_width
        # published: Gaussian of this deviation where no language writes the rows
        self.rows = nn.Parameter(width**-0.5 * torch.randn(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes)) if sizes.head == "linear" else None
        self.mixture = nn.Parameter(torch.eye(classes)) if sizes.head == "mixed" else None
        self.log_scale = nn.Parameter(torch.tensor(sizes.log_scale), requires_grad=False)
        if self.mixture is not None:
            self.rows.requires_grad_(False)
        elif self.bias is not None:
            self.set_rows(self.rows.detach())

    @torch.no_grad()
    def set_rows(self, rows: Tensor) -> None:
        """Write the rows, C x D; a linear classifier normalises them once.

        Raises:
            ValueError: rows of another shape.
        """
        if rows.shape != self.rows.shape:
            raise ValueError(
                f"classifier rows are {tuple(rows.shape)}, the model's classes and width are "
                f"{tuple(self.rows.shape)}; write them for these classes with `relforge language-head`"
            )
        self.rows.copy_(rows if self.bias is None else F.normalize(rows, dim=-1))

    def forward(self, features: Tensor) -> Tensor:
        """Logits N x C of features N x D."""
        scale = float(self.log_scale)
        if scale != 0:
            features = math.exp(scale) * F.normalize(features, dim=-1)
        if self.bias is not None:
            return F.linear(features, self.rows, self.bias)
        rows = self.rows if self.mixture is None else self.mixture @ self.rows
        return F.linear(features, F.normalize(rows, dim=-1))
