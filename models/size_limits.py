"""Refuses a description of a model that no machine could hold, before any memory is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from relforge.machine import find_memory

MAX_NUMBER = 1 << 24
"""Largest width, vocabulary or number of queries: no published model is near it."""
MAX_REPEATS = 1000
"""Largest number of layers, blocks or heads: each becomes modules of its own, one after the other."""
_REPEATED = ("layers", "depth", "depths", "fusions", "heads", "blocks")


class ModelTooLarge(ValueError):
    """A description of a model with sizes that cannot be meant."""


def check_numbers(description: Any, place: str = "", limit: int = MAX_NUMBER) -> None:
    """Compare every number of a description with the largest that it can be.

    Args:
        description: mappings, sequences and values, as a config file has them.
        place: dotted path of the description, for messages.
        limit: largest absolute value of a number that is not nested deeper.

    Raises:
        ModelTooLarge: one is larger, with its place.
    """
    if isinstance(description, Mapping):
        for name, value in description.items():
            repeated = str(name).rpartition("_")[2] in _REPEATED
            check_numbers(value, f"{place}.{name}".lstrip("."), MAX_REPEATS if repeated else MAX_NUMBER)
    elif isinstance(description, Sequence) and not isinstance(description, str):
        for value in description:
            check_numbers(value, place, limit)
    elif isinstance(description, int) and abs(description) > limit:
        raise ModelTooLarge(f"{place} is {description}; the largest that is built is {limit}")


def check_memory(build: Callable[[], nn.Module], what: str) -> None:
    """Build a model without memory and compare its weights with this machine's memory.

    Args:
        build: makes the model; called on the `meta` device.
        what: the model, for the message.

    Raises:
        ModelTooLarge: the weights alone would not fit.
    """
    with torch.device("meta"):
        needed = sum(tensor.nbytes for tensor in build().state_dict().values())
    present = find_memory()
    if present is not None and needed > present:
        raise ModelTooLarge(
            f"the weights of {what} would take {needed / 2**30:,.0f} GiB and this machine has "
            f"{present / 2**30:,.0f} GiB of memory; check its sizes"
        )
