"""Resized pixels are Pillow's, within one grey level."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from relforge.stages.pictures import decode
from relforge.stages.pictures.resize import normalise, resize

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def worst(pixels: np.ndarray, height: int, width: int, filter: Literal["bilinear", "bicubic"]) -> int:
    theirs = np.asarray(Image.fromarray(pixels).resize((width, height), PILLOW[filter])).astype(int)
    ours = resize(pixels, height, width, filter).permute(1, 2, 0).numpy().astype(int)
    return int(np.abs(ours - theirs).max())


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (500, 500), (384, 900), (900, 384)])
@pytest.mark.parametrize("size", [(384, 384), (320, 427), (64, 64), (7, 5)])
def test_shrinking_is_within_one_grey_level_of_pillow_even_on_noise(
    shape: tuple[int, int], size: tuple[int, int], filter: Literal["bilinear", "bicubic"]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert worst(noise, *size, filter) <= 1


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(384, 384), (800, 1066), (100, 400), (400, 100)])
def test_enlarging_is_within_two_grey_levels_of_pillow_even_on_noise(
    size: tuple[int, int], filter: Literal["bilinear", "bicubic"]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 161, 3), dtype=np.uint8)
    assert worst(noise, *size, filter) <= 2


def test_both_models_inputs_are_within_one_grey_level_of_pillow_on_photos(shared) -> None:  # type: ignore[no-untyped-def]
    for path in sorted(shared("data/pixels").glob("*.jpg"))[:16]:
        pixels = decode(path.read_bytes())
        assert worst(pixels, 384, 384, "bicubic") <= 1
        assert worst(pixels, 800, 800 * pixels.shape[1] // pixels.shape[0], "bilinear") <= 1


def test_an_unchanged_size_copies_no_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    assert resize(pixels, 6, 4, "bicubic").data_ptr() == pixels.ctypes.data


def test_normalise_is_the_published_formula() -> None:
    pixels = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = (pixels.double() / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert (normalise(pixels, mean, std) - expected).abs().max() < 1e-5
