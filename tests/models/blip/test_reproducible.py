"""A caption is a function of model, settings, run seed, image and sample: the other images change nothing,
to the last bit of its log-probability. The mixed captions of the published scripts cannot happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

from relforge.kernels.amx.library import VARIABLE
from relforge.models.blip.captioner import BlipCaptioner, Caption
from relforge.models.blip.checkpoint import load
from relforge.models.blip.layers import choose_packing
from relforge.models.blip.settings import Beams, Nucleus
from relforge.models.blip.uniform import derive_random_key

CPU = torch.device("cpu")
Captions = dict[str, list[Caption]]


def run(captioner: BlipCaptioner, pixels: Callable[[int], torch.Tensor], order: Iterable[int]) -> Captions:
    return dict(captioner.run((str(n), derive_random_key(0, str(n)), pixels(n)) for n in order))


@pytest.mark.usefixtures("gemm")
def test_captions_do_not_depend_on_the_batch(folder: Path, pixels: Callable[[int], torch.Tensor]) -> None:
    captioner = BlipCaptioner(load(str(folder)), Nucleus(), 10, CPU, rows=32)
    together = run(captioner, pixels, range(40))
    assert run(captioner, pixels, reversed(range(40))) == together
    assert len({c.text for captions in together.values() for c in captions}) > 100
    for n in (0, 39):
        assert run(captioner, pixels, [n]) == {str(n): together[str(n)]}


def test_packed_layers_do_not_depend_on_the_batch_either(
    wide_folder: Path, pixels: Callable[[int], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "torch")
    captioner = BlipCaptioner(load(str(wide_folder)), Nucleus(), 10, CPU, rows=64)
    assert captioner.decoder.layers[0].mlp.up.kind == choose_packing()
    together = run(captioner, pixels, range(9))
    assert run(captioner, pixels, reversed(range(9))) == together
    assert run(captioner, pixels, [7]) == {"7": together["7"]}


def test_a_last_short_batch_mixes_no_captions(folder: Path, pixels: Callable[[int], torch.Tensor]) -> None:
    """The published scripts gather captions with a stride of the full batch size: with 33 images in batches
    of 32, the last one would get its captions from others."""
    captioner = BlipCaptioner(load(str(folder)), Nucleus(), 3, CPU, rows=32)
    found = run(captioner, pixels, range(33))
    assert set(found) == {str(n) for n in range(33)}
    assert all(len(captions) == 3 for captions in found.values())
    assert found["32"] == run(captioner, pixels, [32])["32"]


def test_the_number_of_captions_does_not_change_the_words_of_the_first(
    folder: Path, pixels: Callable[[int], torch.Tensor]
) -> None:
    few, many = (BlipCaptioner(load(str(folder)), Nucleus(), n, CPU, rows=32) for n in (3, 40))
    for name, captions in run(few, pixels, range(8)).items():
        assert [c.text for c in captions] == [c.text for c in run(many, pixels, [int(name)])[name][:3]]


@pytest.mark.usefixtures("gemm")
def test_beam_captions_do_not_depend_on_the_batch(
    folder: Path, pixels: Callable[[int], torch.Tensor]
) -> None:
    captioner = BlipCaptioner(load(str(folder)), Beams(), 1, CPU, rows=32)
    together = run(captioner, pixels, range(25))
    assert run(captioner, pixels, reversed(range(25))) == together
    for n in (3, 24):
        assert run(captioner, pixels, [n]) == {str(n): together[str(n)]}
