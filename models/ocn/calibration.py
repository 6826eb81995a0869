"""OCN's relation stage: visual states and semantic ones, made of a priori knowledge, correct each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.relation_stage import RelationStates
from relforge.models.blocks.single_scale import TokenSequence

HEADS = 2
TEMPERATURE = 0.05  # of the similarities that are to follow co-occurrence


class SemanticGraph(nn.Module):
    """One layer of attention between all relation labels, with a residual.

    Args:
        width: of a word vector.
        dim: width of the model.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.residual = (nn.Linear(width, dim) for _ in range(4))

    def forward(self, words: Tensor) -> Tensor:
        """Word vectors R x width -> R x dim."""
        query = self.query(words)
        attention = (query @ self.key(words).T / query.shape[1] ** 0.5).softmax(-1)
        return (attention @ self.value(words)).relu() + self.residual(words)


class Mixer(nn.Module):
    """What both calibrations end with: the heads side by side, two layers with a norm between, a residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.values = nn.ModuleList(nn.Linear(dim, dim // HEADS) for _ in range(HEADS))
        self.linear1 = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.linear2 = nn.Linear(dim, dim)

    def forward(self, states: Tensor, heads: list[Tensor]) -> Tensor:
        """States (..., dim) and heads (..., dim / 2) -> (..., dim)."""
        return states + self.linear2(self.norm(self.linear1(torch.cat(heads, -1))).relu())


class CrossCalibration(nn.Module):
    """Gates on one modality, which the other opens, feature by feature.

    Args:
        dim: width of both.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // HEADS
        self.squeeze = nn.ModuleList(nn.Linear(dim, half) for _ in range(HEADS))
        self.excite = nn.ModuleList(nn.Linear(half, half) for _ in range(HEADS))
        self.mixer = Mixer(dim)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """(..., dim) of both -> (..., dim) of `own`."""
        heads = zip(self.squeeze, self.excite, self.mixer.values, strict=True)
        gated = [excite(squeeze(other).relu()).sigmoid() * value(own) for squeeze, excite, value in heads]
        return self.mixer(own, gated)


class SelfCalibration(nn.Module):
    """Bilinear attention between the queries of an image, within one modality.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.left = nn.ModuleList(nn.Linear(dim, dim) for _ in range(HEADS))
        self.right = nn.ModuleList(nn.Linear(dim, dim) for _ in range(HEADS))
        self.scale = nn.ParameterList(nn.Parameter(torch.full((dim,), dim**-0.5)) for _ in range(HEADS))
        self.mixer = Mixer(dim)

    def forward(self, states: Tensor) -> Tensor:
        """(..., Q, dim) -> (..., Q, dim)."""
        heads = []
        for left, right, scale, value in zip(
            self.left, self.right, self.scale, self.mixer.values, strict=True
        ):
            attention = ((left(states) * scale) @ right(states).transpose(-1, -2)).softmax(-1)
            heads.append(attention @ value(states))
        return self.mixer(states, heads)


class SemanticCalibration(nn.Module):
    """Relations from pair states and from what the likeliest object class is known to take part in.

    The prior knowledge is in buffers, zero until a checkpoint or `prepare` of the family fills them.

    Args:
        dim: width of the model.
        classes: object classes, without "no objects".
        relations: relation labels.
        word_width: numbers of a word vector.
    """

    words: Tensor
    object_prior: Tensor
    co_occurrence: Tensor

    def __init__(self, dim: int, classes: int, relations: int, word_width: int) -> None:
        super().__init__()
        self.register_buffer("words", torch.zeros(relations, word_width))
        self.register_buffer("object_prior", torch.zeros(classes + 1, relations))
        self.register_buffer("co_occurrence", torch.zeros(relations, relations))
        self.graph = SemanticGraph(word_width, dim)
        self.visual_cross, self.semantic_cross = CrossCalibration(dim), CrossCalibration(dim)
        self.visual_self, self.semantic_self = SelfCalibration(dim), SelfCalibration(dim)
        self.visual_out, self.semantic_out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(
        self, pairs: list[Tensor], object_logits: list[Tensor], memory: TokenSequence
    ) -> RelationStates:
        labels = self.graph(self.words)  # R x dim
        likeliest = torch.stack(object_logits).argmax(-1)  # layers x B x Q; it may be "no objects"
        visual = torch.stack(pairs)  # layers x B x Q x dim
        semantic = self.object_prior[likeliest] @ labels
        visual, semantic = self.visual_cross(visual, semantic), self.semantic_cross(semantic, visual)
        a = self.visual_out(self.visual_self(visual))
        b = self.semantic_out(self.semantic_self(semantic))
        states = (a + b).relu() - (a - b) ** 2
        return RelationStates(list(states), {"semantic": similarity_loss(labels, self.co_occurrence)})


def similarity_loss(labels: Tensor, co_occurrence: Tensor) -> Tensor:
    """Divergence of the cosine similarities of different relations from how often they go together.

    Args:
        labels: R x dim.
        co_occurrence: R x R.
    """
    other = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    target = co_occurrence + co_occurrence.T
    # the diagonal is in the sum but not in the divergence, as published
    target = (target / target.sum().clamp(min=torch.finfo(target.dtype).tiny))[other]
    unit = F.normalize(labels.float(), dim=1)
    likely = ((unit @ unit.T)[other] / TEMPERATURE).log_softmax(0)
    return (torch.xlogy(target, target) - target * likely).sum()
