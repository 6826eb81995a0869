"""Attention on the tile unit to keys and values that are packed once, for all who look at them."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from relforge.kernels.amx.library import (
    AttentionCall,
    KeysCall,
    Precision,
    load,
    memory,
    parts_of,
    scratch,
)


class TiledKeys:
    """Memory for the keys and values of `count` things, each looked at by a stack of heads.

    Args:
        count: things (pictures, or pictures times layers).
        keys: tokens of each.
        heads, width: of the attention; `width` is per head.
        precision: `split` or `bfloat16`, as of `TiledLinear`.

    Raises:
        LibraryUnavailable, ValueError: as `TiledLinear`.
    """

    def __init__(self, count: int, keys: int, heads: int, width: int, precision: Precision = "split") -> None:
        self.keys, self.heads, self.width, self.parts = keys, heads, width, parts_of(precision)
        size = load().rf_keys_bytes(keys, heads, width, self.parts)
        self.packed = memory(count * size).view(count, size)

    def put(self, place: int, keys: Tensor, values: Tensor) -> None:
        """Pack one thing's keys and values: each `keys` x (heads * width) float32, perhaps parts of wider
        rows."""
        row = keys.stride(0)
        for tensor in (keys, values):
            if tensor.shape != (self.keys, self.heads * self.width) or tensor.stride() != (row, 1):
                wanted = f"{self.keys} rows of {self.heads * self.width}"
                raise ValueError(f"expected {wanted}, got {tuple(tensor.shape)}")
        _check(keys, values)
        load().rf_pack_keys(
            ctypes.byref(
                KeysCall(
                    keys=self.keys,
                    heads=self.heads,
                    width=self.width,
                    parts=self.parts,
                    k=keys.data_ptr(),
                    v=values.data_ptr(),
                    row=row,
                    packed=self.packed[place].data_ptr(),
                    threads=torch.get_num_threads(),
                )
            )
        )

    def attend(self, place: int, queries: Tensor, out: Tensor | None = None) -> Tensor:
        """softmax(q k^T / sqrt(width)) v, every head by itself.

        Args:
            queries: N x (heads * width) float32, perhaps parts of wider rows.
            out: where to put the answer, if not in fresh memory.

        Returns:
            N x (heads * width) float32.
        """
        if out is None:
            out = torch.empty(queries.shape)
        self.attend_all(place, queries[None], out[None], [0])
        return out

    def attend_all(self, start: int, queries: Tensor, out: Tensor, slots: list[int]) -> None:
        """As `attend` for several things at once: queries[s] to the keys of thing `start` + s, for each s of
        `slots`; the answers go to out[s]. Both are S x N x (heads * width) float32."""
        wide = self.heads * self.width
        for tensor in (queries, out):
            if tensor.ndim != 3 or tensor.shape[2] != wide or tensor.stride(2) != 1:
                raise ValueError(f"queries are {tuple(tensor.shape[1:])}, expected N x {wide}")
        if out.shape != queries.shape or any(not 0 <= s < len(queries) for s in slots):
            shapes = f"{tuple(queries.shape)} queries, {tuple(out.shape)} answers"
            raise ValueError(f"slots {slots} do not fit {shapes}")
        if start + max(slots, default=0) >= len(self.packed):
            raise ValueError(f"things {start} + {slots} of {len(self.packed)}")
        _check(queries, out)
        threads = torch.get_num_threads()
        library = load()
        room = scratch(library.rf_attention_scratch(self.keys, self.width, threads))
        call = AttentionCall(
            stacks=len(slots),
            slots=(ctypes.c_int64 * len(slots))(*slots),
            queries=queries.shape[1],
            keys=self.keys,
            heads=self.heads,
            width=self.width,
            parts=self.parts,
            q=queries.data_ptr(),
            q_slot=queries.stride(0),
            q_row=queries.stride(1),
            packed=self.packed[start:].data_ptr(),
            out=out.data_ptr(),
            out_slot=out.stride(0),
            out_row=out.stride(1),
            scratch=room.data_ptr(),
            threads=threads,
        )
        library.rf_attention_run(ctypes.byref(call))


def _check(*tensors: Tensor) -> None:
    for tensor in tensors:
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            found = f"{tensor.dtype} on {tensor.device}"
            raise ValueError(f"attention on the tile unit takes float32 on the CPU, not {found}")
