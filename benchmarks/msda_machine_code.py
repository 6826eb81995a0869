"""What the Triton kernels of deformable attention compile to, without a GPU: registers, spills, barriers.

    python benchmarks/msda_machine_code.py [--json]
    python benchmarks/msda_machine_code.py --write     record it for tests/kernels/msda/test_machine_code.py

Compiles each specialisation for sm_80 and sm_90 with the ptxas of Triton's wheel and reads the machine code
with its cuobjdump and nvdisasm. `barriers_per_point` and `instructions_per_sample` are of the loop over
levels: barriers that one of its points waits at, and instructions that warps issue for one point of a query
and head.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from relforge.kernels.msda import triton_launch
from relforge.kernels.msda.shapes import Problem

RECORD = Path(__file__).resolve().parents[1] / "tests" / "kernels" / "msda" / "machine_code.json"
TARGETS = (80, 90)
ENCODER, DECODER = 17_821, 300
TRITON_DTYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
LEVELS = ((100, 134), (50, 67), (25, 34), (13, 17))


class Specialisation(NamedTuple):
    """What the compiler is told of one call; reference 0: locations given, 2: points, 4: boxes."""

    value: torch.dtype
    offsets: torch.dtype
    reference: int
    masked: bool
    channels: int = 32
    queries: int = ENCODER
    points: int = 4

    @property
    def problem(self) -> Problem:
        return Problem(1, 17_821, 8, self.channels, self.queries, self.points, LEVELS)


BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
SPECIALISATIONS = (
    Specialisation(BF16, BF16, 2, True),
    Specialisation(BF16, BF16, 2, False),
    Specialisation(BF16, BF16, 4, True, queries=DECODER),
    Specialisation(BF16, FP32, 0, False),
    Specialisation(FP16, FP16, 2, True),
    Specialisation(FP32, FP32, 2, True),
    Specialisation(FP32, FP32, 2, False, queries=DECODER),
    Specialisation(FP32, FP32, 0, False),
    Specialisation(BF16, BF16, 2, True, channels=16),
    Specialisation(BF16, BF16, 2, True, channels=64),
)
"""What models run: encoders and decoders under bfloat16 autocast and in float32, padded batches and not."""


def why_unavailable() -> str | None:
    """Why nothing can be compiled here, or None."""
    try:
        import triton
    except ImportError:
        return "Triton is not installed: pip install triton"
    if triton_launch.interpreted():
        return "TRITON_INTERPRET is set: the interpreter compiles nothing"
    missing = [name for name in ("cuobjdump", "nvdisasm") if not tool(name).is_file()]
    return f"Triton {triton.__version__} comes without {' and '.join(missing)}" if missing else None


def tool(name: str) -> Path:
    import triton

    return Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name


def compile_kernel(name: str, case: Specialisation, target: int, shape: tuple[int, int]) -> bytes:
    """The machine code (cubin) of the `forward` or `backward` kernel for a compute capability."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel: Any = triton_launch.kernels()[("forward", "backward").index(name)]
    block, warps = shape
    constants: dict[str, Any] = {
        **triton_launch.constants(case.problem, block),
        "REFERENCE": case.reference,
        "MASKED": case.masked,
    }
    constants |= triton_launch.backward_constants(case.problem) if name == "backward" else {"CLAMPED": False}
    value, offsets = TRITON_DTYPES[case.value], TRITON_DTYPES[case.offsets]
    types = {"value": value, "output": value, "grad_output": value, "points": offsets, "weights": offsets}
    types |= {"levels": "*i32", "mask": "*u8", "queries": "i32", "tokens": "i32", "heads": "i32"}
    signature = {
        argument: "constexpr" if argument in constants else types.get(argument, "*fp32")
        for argument in kernel.arg_names
    }
    aligned = {
        (index,): [["tt.divisibility", 16]]  # as the launcher finds PyTorch's tensors
        for index, argument in enumerate(kernel.arg_names)
        if signature[argument].startswith("*")
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", target, 32), options={"num_warps": warps})
    code: bytes = compiled.asm["cubin"]
    return code


def disassemble(code: bytes) -> tuple[str, list[str], dict[str, int]]:
    """(resource usage, instructions, instruction that each label stands before) of a cubin."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        usage, text = (
            subprocess.run([tool(name), option, file.name], capture_output=True, text=True, check=True).stdout
            for name, option in (("cuobjdump", "-res-usage"), ("nvdisasm", "-c"))
        )
    instructions: list[str] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L\w+):", line):
            labels[label[1]] = len(instructions)
        elif instruction := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(instruction[1])
    return usage, instructions, labels


def level_loop(instructions: list[str], labels: dict[str, int]) -> list[str]:
    """The longest loop: from the target of a backward branch to the branch."""
    longest: list[str] = []
    for index, instruction in enumerate(instructions):
        branch = re.search(r"\bBRA\b.*`\((\.L\w+)\)", instruction)
        if branch and labels[branch[1]] < index and index + 1 - labels[branch[1]] > len(longest):
            longest = instructions[labels[branch[1]] : index + 1]
    return longest


def measure(name: str, case: Specialisation, target: int, shape: tuple[int, int]) -> dict[str, Any]:
    """One row of the table."""
    usage, instructions, labels = disassemble(compile_kernel(name, case, target, shape))
    loop = level_loop(instructions, labels)
    block, warps = shape
    registers, stack = (int(re.findall(rf"{field}:(\d+)", usage)[0]) for field in ("REG", "STACK"))
    return {
        "kernel": name,
        "target": f"sm_{target}",
        **{field: str(value).removeprefix("torch.") for field, value in case._asdict().items()},
        "block": block,
        "warps": warps,
        "registers": registers,
        "spilled_bytes": stack,
        "barriers": sum("BAR." in line for line in instructions),
        "barriers_per_point": sum("BAR." in line for line in loop) / case.points,
        "instructions_per_sample": round(len(loop) * warps / block / case.points, 1),
    }


def shape_of(name: str, case: Specialisation) -> tuple[int, int]:
    """(queries, warps) of a program, as the launcher chooses them."""
    itemsize = case.value.itemsize if name == "forward" else 4
    return triton_launch.block_and_warps(case.channels, itemsize, case.queries)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--write", action="store_true", help=f"rewrite {RECORD.name}")
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    if reason := why_unavailable():
        sys.exit(reason)
    import triton

    rows = [
        measure(name, case, target, shape_of(name, case))
        for target in TARGETS
        for name in ("forward", "backward")
        for case in SPECIALISATIONS
    ]
    if args.write:
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        RECORD.write_text(f'{{"triton": "{triton.__version__}", "rows": [\n  {lines}\n]}}\n')
        return
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
