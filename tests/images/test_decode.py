"""Every kind of image a dataset holds becomes upright RGB, or is refused under a reason."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from relforge.images import ImageError, decode
from relforge.images.decode import FORMATS
from tests.images.drawn import claiming, encoded, exif, gradient, postscript, segment


def refused(data: bytes, **options: int) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, **options)  # type: ignore[arg-type]
    assert caught.value.detail
    return caught.value.reason


def test_a_plain_jpeg_has_the_pixels_pillow_gives() -> None:
    data = encoded(gradient(), "JPEG", quality=90)
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 2}, {"subsampling": 0}])
def test_jpeg_variants_have_the_pixels_pillow_gives(options: dict[str, object]) -> None:
    data = encoded(gradient(), "JPEG", **options)
    assert np.array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_grey_becomes_three_equal_channels() -> None:
    pixels = decode(encoded(gradient().convert("L"), "JPEG"))
    assert pixels.shape == (32, 48, 3)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_cmyk_jpeg_keeps_its_colours() -> None:
    pixels = decode(encoded(gradient().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - np.asarray(gradient()).astype(int)).mean() < 4


def test_sixteen_bit_grey_keeps_its_high_byte_rather_than_turning_white() -> None:
    grey = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(grey), "PNG"))
    assert np.array_equal(pixels[..., 1], (grey >> 8).astype(np.uint8))


def test_palette_and_transparency_become_rgb() -> None:
    assert decode(encoded(gradient().convert("P"), "PNG")).shape == (32, 48, 3)
    assert np.array_equal(decode(encoded(gradient().convert("RGBA"), "PNG")), np.asarray(gradient()))


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[4, 4].tolist() == [255, 0, 0]


def test_the_content_decides_and_not_the_extension(tmp_path) -> None:
    from relforge.images import read

    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encoded(gradient(), "PNG"))
    assert np.array_equal(decode(read(str(path))), np.asarray(gradient()))


def turned(orientation: int) -> bytes:
    return encoded(gradient(), "JPEG", exif=exif(orientation), quality=95)


def test_exif_orientation_is_applied() -> None:
    upright = decode(turned(6))  # shot with the camera turned: 32 wide, 48 high
    assert upright.shape == (48, 32, 3)
    assert np.abs(upright[:, :, 0].astype(int) - np.rot90(np.asarray(gradient()), -1)[:, :, 0]).mean() < 4


def test_an_image_annotated_unrotated_stays_unrotated() -> None:
    assert decode(turned(6), annotated=(48, 32)).shape == (32, 48, 3)
    assert decode(turned(6), annotated=(32, 48)).shape == (48, 32, 3)
    assert decode(turned(6), annotated=(7, 7)).shape == (48, 32, 3)


def test_zero_bytes_are_refused() -> None:
    assert refused(b"") == "empty_file"


def test_a_page_of_html_is_no_image() -> None:
    assert refused(b"<html>404 not found</html>") == "not_an_image"


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_cut_file_is_refused_rather_than_half_grey(form: str) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, form)
    assert refused(data[: len(data) // 2]) == "truncated"


def test_a_decompression_bomb_is_refused_before_its_pixels_are_made() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)  # 1.2 GB of RGB
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    assert refused(data + struct.pack(">I", 0) + b"IDAT") == "too_large"
    assert refused(encoded(gradient(), "JPEG"), max_pixels=1000) == "too_large"


def test_floating_point_pixels_are_refused() -> None:
    assert refused(encoded(Image.new("F", (4, 4)), "TIFF")) == "unsupported_pixels"


def test_no_other_program_is_started_on_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in, ran = tmp_path / "gs", tmp_path / "ran"
    stand_in.write_text(f"#!/bin/sh\ntouch {ran}\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # so that it is looked for again

    assert refused(postscript()) == "not_an_image"
    assert not ran.exists()


@pytest.mark.parametrize("form", ["EPS", "PDF", "ICO", "TGA", "PCX", "SGI"])
def test_formats_outside_the_list_are_refused_with_the_list(form: str) -> None:
    with pytest.raises(ImageError, match=r"JPEG, .*PNG, .*TIFF") as caught:
        decode(encoded(gradient(), form))
    assert caught.value.reason == "not_an_image"


@pytest.mark.parametrize("form", [form for form in FORMATS if form in Image.registered_extensions().values()])
def test_every_format_of_the_list_is_read(form: str) -> None:
    assert decode(encoded(gradient(), form)).shape == (32, 48, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
@pytest.mark.parametrize("decoder", ["simplejpeg", "Pillow alone"])
def test_what_the_header_claims_is_held_to_the_limit_before_any_pixel_is_made(
    form: str, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if decoder == "Pillow alone":
        monkeypatch.setattr(sys.modules["relforge.images.decode"], "simplejpeg", None)
    data = claiming(9900, 9000, form)
    tracemalloc.start()
    assert refused(data, max_pixels=1_000_000) == "too_large"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I"])
def test_every_kind_of_pixel_of_a_tiff_becomes_rgb(mode: str) -> None:
    image = gradient().convert("L").convert("I").convert(mode) if mode[0] == "I" else gradient().convert(mode)
    assert decode(encoded(image, "TIFF")).shape == (32, 48, 3)


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    palette = gradient().quantize(32)
    data = encoded(palette, "PNG", transparency=bytes(range(0, 256, 8)))
    assert np.array_equal(decode(data), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_strips_and_single_pixels_are_images(size: tuple[int, int], form: str) -> None:
    assert decode(encoded(gradient(*size), form)).shape == (size[1], size[0], 3)


def test_metadata_of_a_megabyte_changes_no_pixel() -> None:
    plain = encoded(gradient(), "JPEG")
    block = segment(0xE1, b"Exif\0\0" + exif(1).removeprefix(b"Exif\0\0") + bytes(65_000))
    data = plain[:2] + 16 * block + plain[2:]
    assert np.array_equal(decode(data), decode(plain))


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_bytes_end_in_pixels_or_in_an_image_error(form: str, damage: list[tuple[float, int]]) -> None:
    data = bytearray(encoded(gradient(), form))
    for where, value in damage:
        data[int(where * (len(data) - 1))] = value
    try:
        pixels = decode(bytes(data), max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
