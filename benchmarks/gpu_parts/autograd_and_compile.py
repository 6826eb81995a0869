"""A2: deformable attention as an operator of PyTorch: opcheck, autocast, torch.compile, graph capture."""

from __future__ import annotations

import torch
from torch import Tensor

from gpu_parts.recorder import Recorder
from gpu_parts.timing import capture
from relforge.kernels.msda.module import MSDeformAttn


def inputs(device: str, tiny: bool) -> tuple[MSDeformAttn, list[list[int]], Tensor, Tensor, Tensor, Tensor]:
    """A module with its query, reference points, pixels and padding mask."""
    levels = [[4, 3], [2, 2]] if tiny else [[25, 34], [13, 17], [7, 9], [4, 5]]
    heads, width, queries = (1, 16, 3) if tiny else (8, 256, 100)
    tokens = sum(rows * columns for rows, columns in levels)
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    module = MSDeformAttn(width, len(levels), heads, 2 if tiny else 4, kernel="triton")
    for parameter in module.parameters():
        parameter.data.add_(0.05 * (uniform(*parameter.shape) - 0.5))
    tensors = (uniform(2, queries, width), uniform(2, queries, len(levels), 2), uniform(2, tokens, width))
    mask = uniform(2, tokens) < 0.1
    query, points, pixels = (tensor.to(device) for tensor in tensors)
    return module.to(device), levels, query, points, pixels, mask.to(device)


def opcheck(device: str, tiny: bool) -> dict[str, str]:
    """What PyTorch says of the fused operator's registration, check by check; two of them on the CPU."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((1, 6, 1, 16), (1, 2, 1, 2), (1, 2, 1, 1, 1, 2), (1, 2, 1, 1, 1))  # B = 1, S = 6, H = L = P = 1
    value, points, offsets, logits = (torch.rand(shape, generator=generator).to(device) for shape in shapes)
    leaves = [tensor.requires_grad_() for tensor in (value, offsets, logits)]
    mask = torch.zeros((1, 6), dtype=torch.bool, device=device)
    utils = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    return torch.library.opcheck(
        torch.ops.relforge.msda_fused_forward,
        (leaves[0], [3, 2], points, leaves[1], leaves[2], mask, "triton"),
        test_utils=utils[: 2 if tiny else None],
        raise_exception=False,
    )


def run(recorder: Recorder) -> None:
    module, levels, query, points, pixels, mask = inputs(recorder.device, recorder.tiny)

    def call(function: torch.nn.Module | object, leaf: Tensor) -> Tensor:
        return function(leaf, points, pixels, levels, mask)  # type: ignore[operator]

    def results(function: torch.nn.Module | object) -> tuple[Tensor, Tensor]:
        leaf = query.clone().requires_grad_()
        output = call(function, leaf)
        return output.detach().float(), torch.autograd.grad(output.float().square().sum(), leaf)[0].float()

    def difference(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> float:
        pairs = zip(found, expected, strict=True)
        return max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)

    module.kernel = "reference"
    expected = results(module)
    module.kernel = "triton"
    eager = results(module)
    worst = difference(eager, expected)
    recorder.check("module agrees with the reference", worst < 1e-3, difference=worst)

    with torch.autocast(recorder.device, torch.bfloat16):
        worst = difference(results(module), expected)
    recorder.check("module under bfloat16 autocast agrees", worst < 5e-2, difference=worst)

    compiled = torch.compile(module, fullgraph=True, backend="aot_eager" if recorder.tiny else "inductor")
    worst = difference(results(compiled), eager)
    recorder.check("torch.compile without graph breaks agrees", worst < 1e-3, difference=worst)

    checks = opcheck(recorder.device, recorder.tiny)
    recorder.check("torch.library.opcheck", set(checks.values()) == {"SUCCESS"}, **checks)

    if recorder.device == "cuda":
        kept = query.clone()
        with torch.no_grad():
            holder: dict[str, Tensor] = {}

            def forward() -> None:
                holder["output"] = call(module, kept)

            graph = capture(forward)
            kept.add_(0.01)
            graph.replay()
            same = torch.equal(holder["output"], call(module, kept))
        recorder.check("a CUDA graph of the module gives the bits of the eager call", same)
