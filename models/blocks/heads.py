"""Boxes of queries, and their similarities to label features."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.boxes import inverse_sigmoid
from relforge.models.blocks.layers import MLP
from relforge.models.gpu import autocast

PRIOR_LOGIT = -math.log(99.0)  # a priori probability 0.01 of any label


class BoxHeads(nn.Module):
    """One box MLP per decoder layer, for one role (subject or object).

    Args:
        dim: width of the model.
        count: number of layers.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.mlps = nn.ModuleList(MLP(dim, dim, dim, 4) for _ in range(count))
        for mlp in self.mlps:
            nn.init.zeros_(mlp.layers[-1].weight)
            nn.init.zeros_(mlp.layers[-1].bias)
        with torch.no_grad():
            self.mlps[0].layers[-1].bias[2:] = -2.0  # boxes start small
        self.joined: _Joined | None = None

    def forward(self, index: int, queries: Tensor, references: Tensor) -> Tensor:
        """Boxes B x N x 4 (cxcywh in [0, 1]) of layer `index`, moved from references B x N x 2 or 4."""
        return _move(references, self.mlps[index](queries))

    def join(self, other: BoxHeads, dtype: torch.dtype) -> None:
        """Compute the boxes of this role and of the other one in batched products of two from now on, for
        inference (see `predict_boxes`). Other kernels, so other last bits.

        Args:
            other: heads of the objects, where these are of the subjects.
            dtype: of the weights.
        """
        self.joined = [
            [
                (
                    torch.stack([one.weight.detach().T, two.weight.detach().T]).to(dtype),  # 2 x in x out
                    torch.stack([one.bias.detach(), two.bias.detach()])[:, None].to(dtype),  # 2 x 1 x out
                )
                for one, two in zip(subject.layers, object_.layers, strict=True)
            ]
            for subject, object_ in zip(self.mlps, other.mlps, strict=True)
        ]


_Joined = list[list[tuple[Tensor, Tensor]]]
"""Weight and bias of both roles, by layer of the decoder and layer of the MLP."""


def predict_boxes(
    subject_boxes: BoxHeads,
    object_boxes: BoxHeads,
    index: int,
    queries: tuple[Tensor, Tensor],
    references: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Boxes of subjects and of objects by the heads of layer `index`.

    Args:
        queries: of subjects and of objects, each B x N x dim; the same tensor for both where a query is a
            pair.
        references: of either, B x N x 2 or 4.
    """
    if subject_boxes.joined is None:
        return (
            subject_boxes(index, queries[0], references[0]),
            object_boxes(index, queries[1], references[1]),
        )
    same = queries[0] is queries[1]
    both = queries[0].expand(2, -1, -1, -1) if same else torch.stack(queries)
    *hidden, last = subject_boxes.joined[index]
    delta = both.flatten(1, 2)  # 2 x B * N x dim
    for weight, bias in hidden:
        delta = torch.baddbmm(bias, delta, weight).relu()
    delta = torch.baddbmm(last[1], delta, last[0]).view(*both.shape[:3], 4)
    subjects, objects = _move(torch.stack(references), delta)
    return subjects, objects


def _move(references: Tensor, delta: Tensor) -> Tensor:
    """Boxes ... x 4 at references ... x 2 or 4, moved by a head's output."""
    start = inverse_sigmoid(references)
    if start.shape[-1] == 2:
        start = F.pad(start, (0, 2))  # only the centre is known
    return (delta + start).sigmoid()


class LabelClassifier(nn.Module):
    """Logits by similarity of queries and label features ("Version 5" of the published heads).

    Subjects and objects share one bias; the constant `PRIOR_LOGIT` is added to every logit.

    Args:
        dim: width of the model.

    Attributes:
        float32: compute in float32 under autocast as well: a bfloat16 logit near -3 steps by 0.016, its score
            by 0.0007. The tagger's engine sets it on a GPU.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dim, dim)
        self.entity_bias = nn.Parameter(torch.zeros(dim))
        self.relation_bias = nn.Parameter(torch.zeros(dim))
        self.float32 = False

    def project(self, labels: Tensor) -> Tensor:
        """Classifier vectors B x T x dim of label features B x T x dim."""
        with self._precision(labels):
            return self.projection(F.normalize(self._exact(labels), dim=-1) / 2)

    def entities(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Class logits B x N x T of subject or object queries B x N x dim."""
        return self._similarity(queries, self.entity_bias, projected)

    def relations(self, queries: Tensor, projected: Tensor) -> Tensor:
        """Relation logits B x N x T of pair queries B x N x dim."""
        return self._similarity(queries, self.relation_bias, projected)

    def _similarity(self, queries: Tensor, bias: Tensor, projected: Tensor) -> Tensor:
        with self._precision(queries):
            return (self._exact(queries) + bias) @ projected.transpose(1, 2) + PRIOR_LOGIT

    def _precision(self, like: Tensor) -> AbstractContextManager[None]:
        return autocast(like.device, torch.float32) if self.float32 else nullcontext()

    def _exact(self, x: Tensor) -> Tensor:
        return x.float() if self.float32 else x


class LinearClassifier(nn.Module):
    """Logits of closed labels by one linear layer per decoder layer (DETR).

    Args:
        dim: width of the model.
        objects: object logits, "no objects" included where there is one.
        relations: relation labels.
        count: number of layers.
        rare: labels start unlikely (`PRIOR_LOGIT`); the DETR line but OCN has no such bias.
    """

    def __init__(self, dim: int, objects: int, relations: int, count: int, *, rare: bool = True) -> None:
        super().__init__()
        self.object_heads = nn.ModuleList(nn.Linear(dim, objects) for _ in range(count))
        self.relation_heads = nn.ModuleList(nn.Linear(dim, relations) for _ in range(count))
        if rare:
            for head in (*self.object_heads, *self.relation_heads):
                nn.init.constant_(head.bias, PRIOR_LOGIT)  # of object classes too, as published

    def entities(self, index: int, queries: Tensor) -> Tensor:
        """Class logits B x N x O of subject or object queries B x N x dim, by the heads of layer `index`."""
        return self.object_heads[index](queries)

    def relations(self, index: int, queries: Tensor) -> Tensor:
        """Relation logits B x N x R of pair queries B x N x dim, by the heads of layer `index`."""
        return self.relation_heads[index](queries)
