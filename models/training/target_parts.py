"""The targets of an image, split so that each part's predicates are of one group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relforge.models.training.targets import Targets


@dataclass(frozen=True)
class TargetParts:
    """Parts of the n targets of one image, T of them.

    Args:
        targets: of the parts, with their own predicates only.
        rows: T, the target of each part; on the CPU, as the next two.
        groups: T, the group of its predicates; -1 where it has none, or where there are no groups.
        columns: T x R, the relation labels of its group; all of them where it has no group.
    """

    targets: Targets
    rows: Tensor
    groups: Tensor
    columns: Tensor


def split_targets(targets: Targets, label_groups: Tensor | None) -> TargetParts:
    """One part for every group that a target has a predicate of; one for a target without any.

    Args:
        targets: of an image.
        label_groups: R, the group of each relation label; None where there are no groups.
    """
    true = targets.relations.cpu() > 0
    if label_groups is None:
        rows = torch.arange(len(targets))
        return TargetParts(targets, rows, torch.full_like(rows, -1), torch.ones_like(true))
    groups = int(label_groups.max()) + 1
    columns = label_groups == torch.arange(groups)[:, None]  # groups x R
    has = (true[:, None] & columns).any(2)  # n x groups
    none = ~has.any(1, keepdim=True)
    rows, group = torch.cat([has, none], 1).nonzero(as_tuple=True)  # the last column: no group
    columns = torch.cat([columns, torch.ones_like(columns[:1])])[group]
    there = rows.to(targets.relations.device)
    part = targets.take(there)
    own = replace(part, relations=part.relations * columns.to(there.device))
    return TargetParts(own, rows, torch.where(group < groups, group, -1), columns)
