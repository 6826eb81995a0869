"""Resized pixels are Pillow's, every one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from relforge.images import decode, resample
from relforge.images.resize import normalise, resize
from relforge.kernels.native import loading
from relforge.kernels.native.build import RESIZE
from tests.fixtures.sanitized import report_of
from tests.images.pillow import RESAMPLING, Filter, resize_by_passes

Size = tuple[int, int]

FILTERS = ("bilinear", "bicubic")
ORDERED_ALIKE = int((features.version("pil") or "0").split(".")[0]) >= 13
"""This Pillow chooses between down and across first, as we do; older ones always go across first."""


@pytest.fixture(params=["vnni", "avx2", "portable"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set that this processor has, one after the other."""
    reason = loading.why_unavailable(RESIZE)
    if reason:
        pytest.skip(reason)
    library = loading.load(RESIZE)
    if library.rf_use_isa(request.param.encode()):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    library.rf_use_isa(None)


@pytest.fixture
def no_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(library: object) -> None:
        raise loading.LibraryUnavailable("no C++ compiler found")

    resample._library.cache_clear()
    monkeypatch.setattr(loading, "load", unavailable)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def edges(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Black and white pixels: every cubic sum overshoots, and the order of the passes shows most."""
    return (noise(height, width, seed) & 1) * np.uint8(255)


def ours(pixels: np.ndarray, size: Size, filter: Filter) -> np.ndarray:
    return resize(pixels, *size, filter).permute(1, 2, 0).numpy()


def in_one_call(pixels: np.ndarray, size: Size, filter: Filter) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], RESAMPLING[filter]))


# most sides are short, so that every remainder of a vector and images of a pixel come up
sides = st.one_of(st.integers(1, 12), st.integers(1, 100), st.integers(1, 700))
sizes = st.tuples(sides, sides)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=sizes,
    size=sizes,
    filter=st.sampled_from(FILTERS),
    make=st.sampled_from([noise, edges]),
    seed=st.integers(0, 99),
)
def test_every_value_is_pillows_for_any_sizes(isa, shape, size, filter, make, seed) -> None:
    pixels = make(*shape, seed)
    assert np.array_equal(ours(pixels, size, filter), resize_by_passes(pixels, size, filter))


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((480, 640), (384, 384)),  # across first
        ((900, 384), (384, 384)),  # down alone
        ((384, 900), (384, 384)),  # across alone
        ((640, 480), (320, 427)),  # down first
        ((120, 161), (800, 1066)),
        ((1, 2000), (30, 3)),
        ((2000, 1), (3, 30)),
        ((1, 1), (9, 9)),
        ((300, 200), (1, 1)),
        ((2, 1200), (1, 1)),
    ],
)
def test_every_value_is_pillows_at_sizes_of_interest(
    isa: str, shape: Size, size: Size, filter: Filter
) -> None:
    for pixels in (noise(*shape), edges(*shape), np.full((*shape, 3), 255, np.uint8)):
        assert np.array_equal(ours(pixels, size, filter), resize_by_passes(pixels, size, filter))


@pytest.mark.skipif(not ORDERED_ALIKE, reason="Pillow before 13 always goes across first")
@pytest.mark.parametrize("filter", FILTERS)
def test_the_order_of_passes_is_pillows(filter: Filter) -> None:
    rng = np.random.default_rng(0)
    for seed in range(150):
        rows, columns, height, width = rng.integers(1, 90, 4)
        if seed % 2 and height < rows:  # where one row or column more turns it around
            width = max(1, columns - (rows - height) // 2 + rng.integers(-1, 2))
        pixels, size = edges(rows, columns, seed), (int(height), int(width))
        assert np.array_equal(ours(pixels, size, filter), in_one_call(pixels, size, filter))


def test_both_models_inputs_are_pillows_on_photos(shared) -> None:
    for path in sorted(shared("data/pixels").glob("*.jpg"))[:16]:
        pixels = decode(path.read_bytes())
        large = (800, 800 * pixels.shape[1] // pixels.shape[0])
        inputs: list[tuple[Size, Filter]] = [((384, 384), "bicubic"), (large, "bilinear")]
        for size, filter in inputs:
            assert np.array_equal(ours(pixels, size, filter), resize_by_passes(pixels, size, filter))


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("size", [(38, 38), (20, 60), (80, 20), (48, 30), (30, 64), (100, 100)])
def test_pixels_without_a_compiler_are_the_same(no_native_code: None, size: Size, filter: Filter) -> None:
    for make in (noise, edges):
        fallback = resize(make(48, 64), *size, filter)
        assert np.array_equal(fallback.permute(1, 2, 0).numpy(), resize_by_passes(make(48, 64), size, filter))
        assert fallback.stride() == (1, 3 * size[1], 3)


def test_a_view_is_resized_like_its_copy() -> None:
    image = noise(90, 80)
    for view in (image[::2, ::-1], image[10:50, 5:65], image.transpose(1, 0, 2), image[:, :, ::-1]):
        assert np.array_equal(ours(view, (31, 33), "bicubic"), ours(view.copy(), (31, 33), "bicubic"))


def test_threads_do_not_disturb_each_other() -> None:
    images = [noise(60 + n, 90 - n, n) for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pixels: ours(pixels, (50, 40), "bicubic"), images * 4))
    for pixels, made in zip(images * 4, found, strict=True):
        assert np.array_equal(made, resize_by_passes(pixels, (50, 40), "bicubic"))


def test_an_unchanged_size_copies_no_pixel() -> None:
    pixels = noise(6, 4)
    assert resize(pixels, 6, 4, "bicubic").data_ptr() == pixels.ctypes.data


def test_channels_stay_innermost_in_memory() -> None:
    made = resize(noise(6, 4), 5, 7, "bilinear")
    assert made.shape == (3, 5, 7)
    assert made.stride() == (1, 21, 3)
    assert made.dtype == torch.uint8


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_a_size_of_no_pixels_is_refused(size: Size) -> None:
    with pytest.raises(ValueError, match="each side needs one pixel at least"):
        resize(noise(6, 4), *size, "bicubic")


@pytest.mark.parametrize(
    "pixels", [np.zeros((6, 4, 4), np.uint8), np.zeros((6, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_rgb_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="H x W x 3 uint8"):
        resize(pixels, 5, 5, "bicubic")


@pytest.mark.slow
def test_address_and_undefined_behaviour_sanitizers_find_nothing(tmp_path: Path) -> None:
    assert "portable" in report_of(RESIZE, Path(__file__).with_name("sanitized.cpp"), tmp_path)


def test_normalise_is_the_published_formula() -> None:
    pixels = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = (pixels.double() / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert (normalise(pixels, mean, std) - expected).abs().max() < 1e-5
