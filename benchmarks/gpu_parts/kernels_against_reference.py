"""A1: the Triton kernels against the reference in float64 on the CPU, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from gpu_parts.recorder import Recorder
from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.functional import ms_deform_attn
from relforge.kernels.msda.reference import ms_deform_attn_reference
from relforge.kernels.msda.self_test import MANY_QUERIES, TOLERANCE, Use, difference

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
CASES: list[tuple[torch.dtype, Use]] = [
    (BF16, Use(offsets=BF16)),
    (BF16, Use(offsets=BF16, masked=False)),
    (FP32, Use(masked=False)),
    (FP32, Use()),
    (BF16, Use(offsets=BF16, boxes=True)),
    (BF16, Use(offsets=BF16, queries=MANY_QUERIES)),
    (FP32, Use(queries=MANY_QUERIES)),
    (BF16, Use(offsets=BF16, boxes=True, masked=False)),
    (FP16, Use(offsets=FP16)),
    (FP16, Use()),
    (BF16, Use()),
    (FP32, Use(offsets=BF16, boxes=True)),
    (BF16, Use(channels=16, offsets=BF16, queries=70)),
    (FP32, Use(channels=20, queries=70)),
    (BF16, Use(channels=64, offsets=BF16, queries=70)),
    (BF16, Use(points=1, offsets=BF16)),
    (BF16, Use(levels=1, offsets=BF16)),
    (BF16, Use(levels=8, points=1, offsets=BF16)),
    (FP32, Use(queries=1)),
]
"""The likeliest first: each is two compilations, and a cut leaves out the last ones."""


def compiled() -> Iterator[dict[str, Any]]:
    """Registers and spills of every kernel that this process has compiled."""
    kernels: tuple[Any, Any] = triton_launch.kernels()
    for name, kernel in zip(("forward", "backward"), kernels, strict=True):
        for caches in getattr(kernel, "device_caches", {}).values():
            for one in caches[0].values():
                names = kernel.arg_names
                constants = {
                    names[place[0]]: value
                    for place, value in one.src.constants.items()
                    if names[place[0]] in ("D", "L", "P", "REFERENCE", "MASKED", "WIDE", "QUERIES")
                }
                row = {"kernel": name, "registers": one.n_regs, "spills": one.n_spills}
                yield row | {"warps": one.metadata.num_warps, **constants}


def edge_of_the_grid(device: str, batch: int) -> float:
    """Difference at `batch` images of 64 heads, one query each: near the most programs that a grid takes."""
    generator = torch.Generator().manual_seed(3)
    value = torch.rand((batch, 1, 64, 16), generator=generator)
    locations, weights = (
        torch.rand((batch, 1, 64, 1, 1, 2), generator=generator),
        torch.rand(batch, 1, 64, 1, 1),
    )
    expected = ms_deform_attn_reference(value, [(1, 1)], locations, weights)
    found = ms_deform_attn(
        value.to(device), [(1, 1)], locations.to(device), weights.to(device), kernel="triton"
    )
    return float((found.cpu() - expected).abs().max())


def special_locations(recorder: Recorder) -> None:
    """NaN makes its query and head NaN and no other; infinite and far locations add nothing; no queries."""
    device = recorder.device
    value = torch.rand((1, 20, 2, 16), device=device) + 1
    locations = torch.full((1, 4, 2, 1, 1, 2), 0.5, device=device)
    locations[0, 0, 0] = float("nan")
    locations[0, 1] = float("inf")
    locations[0, 2] = -1e30
    weights = torch.ones((1, 4, 2, 1, 1), device=device)
    output = ms_deform_attn(value, [(4, 5)], locations, weights, kernel="triton").view(4, 2, 16)
    recorder.check("NaN location makes its query and head NaN", bool(output[0, 0].isnan().all()))
    recorder.check("and no other", bool(output[0, 1].isfinite().all() and output[1:].isfinite().all()))
    recorder.check("infinite and far locations add nothing", bool((output[1:3] == 0).all()))
    none = ms_deform_attn(value, [(4, 5)], locations[:, :0], weights[:, :0], kernel="triton")
    recorder.check("no queries give an empty output", none.shape == (1, 0, 32))


def run(recorder: Recorder) -> None:
    cases = CASES[:2] if recorder.tiny else CASES[:6] if recorder.quick else CASES
    special_locations(recorder)
    for dtype, use in cases:
        use = use._replace(queries=2, levels=2, points=2, channels=16) if recorder.tiny else use
        worst = difference(recorder.device, dtype, "triton", True, use)
        name = f"value {str(dtype).removeprefix('torch.')}, {use}"
        recorder.check(name, worst <= TOLERANCE[dtype], difference=worst)
    triton_launch.INT32, kept = 1, triton_launch.INT32
    worst = difference(recorder.device, FP32, "triton", True, Use(queries=2, levels=2, points=2, channels=16))
    triton_launch.INT32 = kept
    recorder.check("64-bit offsets", worst <= TOLERANCE[FP32], difference=worst)
    batch = 2 if recorder.tiny else 1023
    worst = edge_of_the_grid(recorder.device, batch)
    recorder.check("edge of the grid", worst < 1e-5, difference=worst, images=batch, heads=64)
    if recorder.tiny:
        return
    try:
        rows = list(compiled())
    except (AttributeError, KeyError, TypeError) as error:  # Triton's own objects, which change
        recorder.figure("registers", None, reason=str(error))
        return
    for row in rows:
        recorder.figure(f"{row.pop('kernel')} registers", row.pop("registers"), "", **row)
