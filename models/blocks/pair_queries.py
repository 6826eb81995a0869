"""The R-Tagger's queries: boxes and labels that are given, not searched for (RLIPv2, §4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relforge.models.blocks.boxes import inverse_sigmoid
from relforge.models.blocks.pair_geometry import PairGeometry
from relforge.models.blocks.queries import PointReferences, Queries
from relforge.models.gpu import upload


@dataclass
class PairBatch:
    """Given pairs, padded to P queries.

    Args:
        boxes: N x 2P x 4 cxcywh in [0, 1]; subjects first, then objects.
        labels: N x 2P indices into the label list of the image.
        key_padding_mask: N x 2P, True where no pair is given.
        attention_mask: (N * heads) x 2P x 2P, True where a query must not attend to another (training only).
    """

    boxes: Tensor
    labels: Tensor
    key_padding_mask: Tensor
    attention_mask: Tensor | None = None

    def to(self, device: torch.device | str) -> PairBatch:
        """The same on another device."""
        device = torch.device(device)
        mask = None if self.attention_mask is None else self.attention_mask.to(device)
        if self.boxes.device.type == "cpu":  # one copy, which nobody waits for
            boxes, labels, key_padding_mask = upload(device, self.boxes, self.labels, self.key_padding_mask)
        else:
            boxes, labels = self.boxes.to(device), self.labels.to(device)
            key_padding_mask = self.key_padding_mask.to(device)
        return PairBatch(boxes, labels, key_padding_mask, mask)


class PairQueries(nn.Module):
    """Projected boxes become query positions, label features become query contents.

    The start centre is a linear map of the box *embedding*, not the given box, as published
    (docs/method.md, "Pair queries").

    Args:
        dim: width of the model.
        pairs: maximum of pairs in one decoder batch (N_Q; 100 published).
        relation_position: learn positions of relation queries too (the `vanilla_MBF` variant).
        geometry: adds how the boxes of a pair lie to each other; None: nothing does, as published.
    """

    def __init__(
        self,
        dim: int,
        pairs: int,
        *,
        relation_position: bool = False,
        geometry: PairGeometry | None = None,
    ) -> None:
        super().__init__()
        self.pairs = pairs
        self.box = nn.Linear(4, dim)
        self.relation_content = nn.Embedding(2 * pairs, dim)
        self.points = PointReferences(dim)
        self.relation_position = nn.Embedding(pairs, dim) if relation_position else None
        self.geometry = geometry

    def forward(self, given: PairBatch, labels: Tensor) -> Queries:
        """Queries of given pairs.

        Args:
            given: N x 2P boxes and label indices; P at most `pairs`.
            labels: N x T x dim features of the last language layer; no gradient flows back through them.

        Raises:
            ValueError: more pairs than queries.
        """
        width = given.boxes.shape[1] // 2
        if width > self.pairs:
            raise ValueError(f"{width} pairs in one decoder batch; this model takes at most {self.pairs}")
        filled = ~given.key_padding_mask[..., None]
        positions = self.box(inverse_sigmoid(given.boxes)) * filled
        index = given.labels[..., None].expand(-1, -1, labels.shape[-1])
        content = labels.detach().gather(1, index) * filled
        key_padding_mask = given.key_padding_mask.clone()
        # attention without any key is NaN, so a row without pairs attends to its own first query
        key_padding_mask[:, 0] &= ~key_padding_mask.all(
            1
        )  # no index by a mask: a GPU would wait for its size
        first, second = self.relation_content.weight.expand(len(given.boxes), -1, -1).chunk(2, 1)
        learned = self.relation_position
        relations = first[:, :width] + second[:, :width]
        if self.geometry is not None:
            relations = relations + self.geometry(*given.boxes.chunk(2, 1))
        return Queries(
            content=content,
            positions=positions,
            references=self.points(positions),
            relation_content=relations,
            relation_positions=(
                None if learned is None else learned.weight[:width].expand(len(given.boxes), -1, -1)
            ),
            attention_mask=given.attention_mask,
            key_padding_mask=key_padding_mask,
        )


def pad_pairs(boxes: list[Tensor], labels: list[Tensor], width: int) -> PairBatch:
    """Stack pairs of several images or decoder batches, padded to `width` queries each.

    Args:
        boxes: per row, n x 2 x 4 cxcywh (subject, object), n <= width.
        labels: per row, n x 2 label indices.
        width: pair queries of a row.
    """
    rows = len(boxes)
    out = PairBatch(
        boxes=torch.zeros(rows, 2, width, 4, device=boxes[0].device),
        labels=torch.zeros(rows, 2, width, dtype=torch.long, device=boxes[0].device),
        key_padding_mask=torch.ones(rows, 2, width, dtype=torch.bool, device=boxes[0].device),
    )
    for i, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        out.boxes[i, :, : len(box)] = box.transpose(0, 1)
        out.labels[i, :, : len(box)] = label.transpose(0, 1)
        out.key_padding_mask[i, :, : len(box)] = False
    return PairBatch(out.boxes.flatten(1, 2), out.labels.flatten(1, 2), out.key_padding_mask.flatten(1, 2))
