"""Fewer pair queries than a model was trained with: which rows of its tables are kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from relforge.models.blocks.predicate_copies import SPREAD

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
_OF_PREDICATES = "predicate_queries.weight"
_BY_PAIR = ("subject_queries.weight", "object_queries.weight", _OF_PREDICATES)
"""Tables of one role each; those of predicates may have several rows for a pair, next to each other."""


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
    for name in _BY_PAIR:
        if name in state:
            cut[name] = state[name][: kept * (len(state[name]) // pairs)]
    return cut


def repeat_predicate_queries(state: Mapping[str, Tensor], copies: int, wanted: int) -> dict[str, Tensor]:
    """Weights whose table of predicate queries, if there is one, has another number of rows for a pair.

    Args:
        state: name -> tensor, our names.
        copies, wanted: rows of a pair now and then. Further ones are the old ones, a little apart.
    """
    changed = dict(state)
    if _OF_PREDICATES in state:
        old = state[_OF_PREDICATES].unflatten(0, (-1, copies))  # pairs x copies x dim
        new = old[:, torch.arange(wanted) % copies]
        new[:, copies:] += SPREAD * torch.randn_like(new[:, copies:])
        changed[_OF_PREDICATES] = new.flatten(0, 1)
    return changed
