"""Kernel launches of the captioner and the R-Tagger, and what would wait for a GPU, counted without one.

Models run on PyTorch's `meta` device, whose tensors have shapes alone, under a counter of operators.
Operators that only look at memory in another way launch nothing. What reads a value back fails there, as it
would wait on a GPU.

    python benchmarks/launches.py
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

SILENT = {
    "empty",
    "empty_like",
    "new_empty",
    "empty_strided",
    "new_empty_strided",
    "_unsafe_view",
    "lift_fresh",
}
SILENT |= {"detach", "alias", "sym_size", "sym_stride", "_reshape_alias", "resolve_conj", "resolve_neg"}
WAITING = {"_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "unique", "_unique2"}


class LaunchCounter:
    """Counts operators on other devices than the CPU, for the time of a `with`.

    Attributes:
        launches: operator -> how often it starts a kernel.
        uploads: copies from the host, which a queue may take.
        waits: what would wait for the GPU: host constants, indices by a mask, shapes that depend on values.
    """

    def __init__(self) -> None:
        self.launches: Counter[str] = Counter()
        self.uploads = 0
        self.waits: Counter[str] = Counter()
        self._modes = ExitStack()

    def __enter__(self) -> LaunchCounter:
        self._modes.enter_context(_HostConstants(self.waits))
        self._modes.enter_context(_Operators(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._modes.close()

    @property
    def total(self) -> int:
        """All launches."""
        return sum(self.launches.values())

    def add(self, func: Any, inputs: list[torch.Tensor], indices: Any) -> None:
        """Count one operator that is not composed of others."""
        name = func._schema.name.split("::")[1]
        if name in WAITING:
            self.waits[name] += 1
        elif name in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype == torch.bool for one in indices
        ):
            self.waits["index by a mask"] += 1
        elif name in ("_to_copy", "copy_") and any(one.device.type == "cpu" and one.dim() for one in inputs):
            self.uploads += 1
        elif not _is_view(func) and name not in SILENT:
            self.launches[name] += 1


class _Operators(TorchDispatchMode):
    def __init__(self, counter: LaunchCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.name == "aten::scaled_dot_product_attention":  # one kernel on a GPU
            self.counter.launches["scaled_dot_product_attention"] += 1
            return func(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunction(), self:  # composed operators count as their parts
            result = func.decompose(*args, **(kwargs or {}))
        if result is NotImplemented:
            result = func(*args, **(kwargs or {}))
            if any(one.device.type != "cpu" for one in _tensors((args, kwargs, result))):
                self.counter.add(func, _tensors(args), args[1] if len(args) > 1 else ())
        return result


class _HostConstants(TorchFunctionMode):
    """Counts tensors made of Python's numbers on other devices: copies from memory that is not pinned."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) and result.device.type != "cpu":
            self.waits["host constant"] += 1
        return result


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return _flat(list(value.values()))
    if isinstance(value, list | tuple):
        return [one for part in value for one in _flat(part)]
    return [value]


def _tensors(value: Any) -> list[torch.Tensor]:
    return [one for one in _flat(value) if isinstance(one, torch.Tensor)]


def _is_view(func: Any) -> bool:
    """Whether the operator returns its input's memory and writes nothing."""
    returned = func._schema.returns
    return bool(returned) and all(
        one.alias_info is not None and not one.alias_info.is_write for one in returned
    )


class Recorded:
    """Keeps what the forward pass of padded batches was called with.

    Args:
        padded: `PaddedForward` of an engine.
    """

    def __init__(self, padded: Any) -> None:
        self.forward = padded.forward
        self.inputs: tuple[Any, ...] = ()
        padded.forward = self

    def __call__(self, shape: Any, inputs: Any) -> torch.Tensor:
        if not self.inputs:
            self.inputs = shape, [one.to("meta") for one in inputs]
        result: torch.Tensor = self.forward(shape, inputs)
        return result

    def repeat(self) -> torch.Tensor:
        """The pass once more, on inputs that are on the device, as a graph finds them."""
        result: torch.Tensor = self.forward(*self.inputs)
        return result


def main() -> None:
    """Print the launches of the published sizes: BLIP-large with 640 rows, the R-Tagger on ResNet-50."""
    from gpu_parts import captioner, tagger
    from gpu_parts.recorder import Recorder
    from report import emit

    from relforge.models.blip.gpu_sampler import GpuSampler
    from relforge.models.blip.sampler import Sampler
    from relforge.tagger.gpu_model import join_kernels

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    recorder = Recorder("launches", Path(), "meta", quick=False)
    _, checkpoint = captioner.build(recorder)
    own = captioner.captioner(recorder, checkpoint, graphs=False)
    sampler = own.strategy
    assert isinstance(sampler, GpuSampler)
    before = Sampler(own.decoder, checkpoint.prompt, 5, sampler.settings, 10)
    batch = torch.empty(16, 384, 384, 3, dtype=torch.uint8)
    encoded = own._encode_rows(batch)
    requests = [one for one in tagger.requests(recorder, 40) if one.pixels.shape[1:] == (800, 1066)][:8]
    names = {text for one in requests for *_, text in one.candidates} | {*tagger.LABELS}
    names |= {name for one in requests for name in one.classes}
    model, padded = (tagger.engine(recorder, torch.float32, len(requests)) for _ in range(2))
    network: Any = padded.model
    join_kernels(network, torch.float32)  # as for bfloat16, which `meta` has no autocast for
    padded.pads = True
    recorded = Recorded(padded.padded)
    for engine in (model, padded):
        engine.features.memory = {name: torch.empty(768, device="meta") for name in names}
        engine._compute(requests)  # constants of a size are made once
    works: dict[str, Callable[[], Any]] = {
        "decoding step, kernel by kernel": lambda: before._advance([]),
        "decoding step": sampler._advance,
        f"prompts of {sampler.capacity} images": sampler._run_prompts,
        "keys and values of 16 images": lambda: sampler.fused.write_images(sampler.inputs[0][:16], encoded),
        "vision encoder, 16 images": lambda: own._encode_rows(batch),
        f"R-Tagger, {len(requests)} images, exact sizes": lambda: model._compute(requests),
        f"R-Tagger, {len(requests)} images, padded": lambda: padded._compute(requests),
        "the part of it that is one graph": recorded.repeat,
    }
    rows = []
    with torch.inference_mode():
        for name, work in works.items():
            with LaunchCounter() as counter:
                work()
            row = {"case": name, "launches": counter.total, "uploads": counter.uploads}
            row["waits"] = sum(counter.waits.values())
            if "R-Tagger" in name or "graph" in name:
                row["launches per image"] = round(counter.total / len(requests), 1)
            rows.append(row)
    emit(rows, args.json)


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(root), str(root / "benchmarks")]
    main()
