"""How often labels occur in a training set, alone and together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LabelCounts:
    """Annotated rows (subject box, object box, relation) by label, in a model's order of labels; int64.

    Args:
        objects: C x R, rows by class of the object and relation; rows without an object are left out.
        relations: R, rows by relation, all of them.
        together: R x R, ordered pairs of different rows of one pair of boxes. Symmetric; the diagonal counts
            relations that were annotated twice.
    """

    objects: Tensor
    relations: Tensor
    together: Tensor
