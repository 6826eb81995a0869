"""Fewer pair queries than a model was trained with: which rows of its tables are kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

TABLES = (
    "queries.table.weight",
    "queries.content.weight",
    "queries.relation_content.weight",
    "queries.anchors.weight",
    "queries.relation_position.weight",
    "queries.weight",
    "pairs.queries.weight",
)
_BY_ROLE = ("pairs.queries.weight",)
"""Tables that the published code cuts by role too (ParSe and RLIP-ParSe)."""


def cut_queries(
    state: Mapping[str, Tensor], pairs: int, kept: int, *, published: bool = False
) -> dict[str, Tensor]:
    """Weights with the tables of the first `kept` pair queries.

    A table with a row per subject and per object, subjects first, keeps the first rows of either half.

    Args:
        state: name -> tensor, our names.
        pairs: queries that the model has.
        kept: queries to keep.
        published: keep the first `2 * kept` rows of such tables as they are, as the published code does with
            those of the deformable line: some of the subjects' rows become objects' (100 pairs cut to 64: 36
            of the 64). The published HICO-DET fine-tuning of RLIPv2-ParSeDA did so.

    Raises:
        ValueError: more queries than there are.
    """
    if kept > pairs:
        raise ValueError(f"model.pairs is {kept}; the model to start from has {pairs} pair queries")
    cut = dict(state)
    for name in TABLES:
        if name not in state:
            continue
        table = state[name]
        if len(table) == pairs:
            cut[name] = table[:kept]
        elif published and name not in _BY_ROLE:
            cut[name] = table[: 2 * kept]
        else:
            cut[name] = torch.cat([half[:kept] for half in table.chunk(2)])
    return cut
