"""What a captioner does on a GPU: few kernels, nothing read back, the captions of the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import load
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.fused_decoder import why_not_fused
from relforge.models.blip.gpu_sampler import GpuSampler
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.vision import VisionEncoder
from relforge.models.cuda_graph import CudaGraph

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))

from launches import LaunchCounter

META = torch.device("meta")
LAYERS = 12  # of the published captioners; the small one has two


def sampler(folder: Path, graphs: bool = False) -> GpuSampler:
    checkpoint = load(str(folder))
    arithmetic = Arithmetic(META, torch.bfloat16)
    decoder = TextDecoder(checkpoint.state, checkpoint.shape, 32, 20, 9, 10, arithmetic)
    return GpuSampler(decoder, checkpoint.prompt, checkpoint.shape.text.eos, Nucleus(), 10, graphs)


def published(first: int, layers: int) -> int:
    """Launches with the published number of layers, from those with one and with two."""
    return first + (LAYERS - 1) * (layers - first)


@torch.inference_mode()
def test_a_decoding_step_launches_at_most_150_kernels(folder: Path) -> None:
    own = sampler(folder)
    totals = []
    for depth in (1, 2):
        own.decoder.layers, kept = own.decoder.layers[:depth], own.decoder.layers
        with LaunchCounter() as counter:
            own._advance()
        own.decoder.layers = kept
        assert not counter.waits
        assert not counter.uploads
        totals.append(counter.total)
    assert published(*totals) <= 150


@torch.inference_mode()
def test_prompts_and_images_come_in_batches(folder: Path) -> None:
    own = sampler(folder)
    with LaunchCounter() as counter:
        own._run_prompts()
    assert not counter.waits
    assert counter.total <= 45  # with two layers, whatever the number of images
    tokens = torch.empty(16, own.fused.stored.shape[4], 48, device=META, dtype=torch.bfloat16)
    with LaunchCounter() as counter:
        own.fused.write_images(own.inputs[0], tokens)
    assert counter.total == 2
    assert not counter.waits


@torch.inference_mode()
def test_the_vision_encoder_copies_no_attention_inputs(folder: Path) -> None:
    checkpoint = load(str(folder))
    shape = checkpoint.shape.vision
    encoder = VisionEncoder(checkpoint.state, shape, 16, Arithmetic(META, torch.bfloat16))
    with LaunchCounter() as counter:
        encoder(torch.empty(16, 3, shape.image_size, shape.image_size, device=META))
    assert counter.launches["copy_"] == 0
    assert not counter.waits


def test_a_graph_that_cannot_be_captured_leaves_a_note(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: CudaGraph, function: object, device: torch.device, pool: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(CudaGraph, "__init__", refuse)
    own = sampler(folder, graphs=True)
    assert own.note == "off: operation not permitted when stream is capturing"
    assert own.advance == own._advance


@pytest.mark.parametrize("settings", [Nucleus(top_k=0), Nucleus(top_k=65)])
def test_settings_that_the_kernels_lack_run_without_them(folder: Path, settings: Nucleus) -> None:
    checkpoint = load(str(folder))
    assert "top_k" in (why_not_fused(settings, checkpoint.shape.text, META, torch.bfloat16) or "")
    captioner = BlipCaptioner(checkpoint, settings, 2, torch.device("cpu"), rows=8, on_gpu=True)
    assert not isinstance(captioner.strategy, GpuSampler)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: pip install triton")
@pytest.mark.parametrize(
    "file", ["tests/models/blip/interpreted_captioner.py", "tests/kernels/decoding/interpreted.py"]
)
def test_the_kernels_agree_under_the_interpreter(file: str) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", str(root / file)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root)
    assert result.returncode == 0, result.stdout[-3000:]
