"""What is kept of every row of a decoder batch: one row of int64 numbers, so that one copy carries it."""

from __future__ import annotations

import torch
from torch import Tensor

RUNNING, LENGTH, LOGPROB, KEY, SAMPLE, HISTORY = range(6)
"""Columns: 1 while the caption grows; its tokens so far; their log-probability (the bits of a float64); its
random key; its sample; then the tokens, as many columns as a caption may be long."""


def allocate(rows: int, max_length: int, device: torch.device) -> Tensor:
    """State of rows without a caption: rows x (5 + max_length)."""
    state = torch.zeros(rows, HISTORY + max_length, dtype=torch.long, device=device)
    state[:, LENGTH] = 1  # a row without a caption still reads a token
    return state
