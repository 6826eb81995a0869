"""Attention on AMX to keys and values that are packed once and attended to by many queries."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from relforge.kernels.amx.library import (
    AttentionCall,
    PackKeysCall,
    Precision,
    allocate,
    check_operand,
    load,
    scratch,
    split_parts,
)


class PackedKeys:
    """Packed keys and values of several sequences, each attended to by itself, with all heads.

    Args:
        sequences: how many there is memory for (images, or images times layers).
        keys: tokens of each sequence.
        heads, width: of the attention; `width` is the number of channels per head.
        precision: `split` or `bfloat16`, as of `AmxLinear`.

    Raises:
        LibraryUnavailable, ValueError: as `AmxLinear`.
    """

    def __init__(
        self, sequences: int, keys: int, heads: int, width: int, precision: Precision = "split"
    ) -> None:
        self.keys, self.heads, self.width, self.parts = keys, heads, width, split_parts(precision)
        size = load().rf_keys_bytes(keys, heads, width, self.parts)
        self.packed = allocate(sequences * size).view(sequences, size)

    def write(self, sequence: int, keys: Tensor, values: Tensor) -> None:
        """Pack the keys and values of one sequence.

        Args:
            sequence: its index.
            keys, values: each `keys` x (heads * width) float32, of equal strides; the rows may be parts of
                wider ones.
        """
        row_stride = keys.stride(0)
        for tensor in (keys, values):
            shape = (self.keys, self.heads * self.width)
            if tensor.shape != shape or tensor.stride() != (row_stride, 1):
                expected = f"{self.keys} rows of {self.heads * self.width}"
                raise ValueError(f"expected {expected}, got {tuple(tensor.shape)}")
            check_operand(tensor)
        load().rf_pack_keys(
            ctypes.byref(
                PackKeysCall(
                    keys=self.keys,
                    heads=self.heads,
                    width=self.width,
                    parts=self.parts,
                    k=keys.data_ptr(),
                    v=values.data_ptr(),
                    row_stride=row_stride,
                    packed=self.packed[sequence].data_ptr(),
                    threads=torch.get_num_threads(),
                )
            )
        )

    def attend(self, sequence: int, queries: Tensor, out: Tensor | None = None) -> Tensor:
        """softmax(q k^T / sqrt(width)) v for every head.

        Args:
            sequence: index of the one attended to.
            queries: N x (heads * width) float32; the rows may be parts of wider ones.
            out: of the same size, written to instead of a new tensor.

        Returns:
            N x (heads * width) float32.
        """
        if out is None:
            out = torch.empty(queries.shape)
        self.attend_batch(sequence, queries[None], out[None], [0])
        return out

    def attend_batch(self, first: int, queries: Tensor, out: Tensor, rows: list[int]) -> None:
        """As `attend` for rows of a batch: queries[b] to sequence `first` + b, for each b of `rows`; results
        go to out[b]. Rows of `out` that are not listed are left as they are.

        Args:
            queries, out: B x N x (heads * width) float32.
        """
        channels = self.heads * self.width
        for tensor in (queries, out):
            if tensor.ndim != 3 or tensor.shape[2] != channels or tensor.stride(2) != 1:
                raise ValueError(f"queries are {tuple(tensor.shape[1:])}, expected N x {channels}")
            check_operand(tensor)
        if out.shape != queries.shape or any(not 0 <= row < len(queries) for row in rows):
            shapes = f"queries {tuple(queries.shape)} and out {tuple(out.shape)}"
            raise ValueError(f"rows {rows} do not fit {shapes}")
        if first + max(rows, default=0) >= len(self.packed):
            raise ValueError(f"sequences {first} + {rows} of {len(self.packed)}")
        threads = torch.get_num_threads()
        library = load()
        work = scratch(library.rf_attention_scratch(self.keys, self.width, threads))
        call = AttentionCall(
            count=len(rows),
            rows=(ctypes.c_int64 * len(rows))(*rows),
            queries=queries.shape[1],
            keys=self.keys,
            heads=self.heads,
            width=self.width,
            parts=self.parts,
            q=queries.data_ptr(),
            q_batch_stride=queries.stride(0),
            q_row_stride=queries.stride(1),
            packed=self.packed[first:].data_ptr(),
            out=out.data_ptr(),
            out_batch_stride=out.stride(0),
            out_row_stride=out.stride(1),
            scratch=work.data_ptr(),
            threads=threads,
        )
        library.rf_attention_run(ctypes.byref(call))
