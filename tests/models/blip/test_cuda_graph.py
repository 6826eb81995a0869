"""A decoding step can be captured as a CUDA graph: nothing is read back, no tensor is on the CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch

from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import load
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.sampler import Sampler
from relforge.models.blip.settings import Beams, Nucleus
from relforge.models.cuda_graph import CudaGraph

CPU = torch.device("cpu")


@pytest.mark.parametrize("settings", [Nucleus(), Nucleus(top_k=0, repetition_penalty=1.0)])
def test_a_step_stays_on_the_gpu_and_reads_nothing_back(folder: Path, settings: Nucleus) -> None:
    """Tensors of the meta device have shapes and no values: reading one back, a shape that depends on values,
    or a tensor on the CPU fails, as it would fail or stall while a graph is captured."""
    checkpoint, meta = load(str(folder)), torch.device("meta")
    arithmetic = Arithmetic(meta, torch.bfloat16)
    decoder = TextDecoder(checkpoint.state, checkpoint.shape, 32, settings.max_length, 7, 10, arithmetic)
    sampler = Sampler(decoder, checkpoint.prompt, checkpoint.shape.text.eos, settings, 10)
    with torch.inference_mode():
        ended = sampler._advance([])
    assert (ended.device, ended.shape) == (meta, (32,))
    with pytest.raises(NotImplementedError):
        ended.tolist()
    with pytest.raises(RuntimeError):
        _ = sampler.logprob + torch.zeros(32)


def test_a_replay_works_in_the_memory_of_the_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    count = torch.zeros(1)

    class Graph:
        def replay(self) -> None:
            log.append("replay")
            count.add_(1)

    class Stream:
        def wait_stream(self, _: object) -> None:
            log.append("wait")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _: nullcontext())
    captures: list[dict[str, object]] = []

    def capture(graph: object, **rules: object) -> AbstractContextManager[None]:
        captures.append(rules)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "graph", capture)

    def call() -> torch.Tensor:
        log.append("call")
        return count.add_(1)

    graph = CudaGraph(call, torch.device("cuda:0"))
    assert log == ["wait", "call", "call", "call", "wait", "call"]
    assert graph() is graph()
    assert (log[-2:], float(count)) == (["replay", "replay"], 6.0)
    assert captures[0]["capture_error_mode"] == "thread_local"
    assert isinstance(captures[0]["stream"], Stream)  # the one that was warmed up


@pytest.mark.parametrize(("settings", "found"), [(Nucleus(), "device cpu"), (Beams(), "beam search")])
def test_graphs_are_refused_where_they_would_do_nothing(
    folder: Path, settings: Nucleus | Beams, found: str
) -> None:
    with pytest.raises(ValueError, match=f"with {found}, leave it out"):
        BlipCaptioner(load(str(folder)), settings, 1, CPU, graphs=True)
