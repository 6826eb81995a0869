"""One rule for the orientation of an image, whatever format, decoder and place of the tag."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from relforge.images import ImageError, decode, decode_as_annotated, decode_oriented
from tests.images.drawn import HEIGHT, WIDTH, encoded, exif, gradient, segment, tagged_jpeg

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The turn that EXIF states."""

PLACES = ("near", "far", "attribute", "element")
STORED = (WIDTH, HEIGHT)


@pytest.fixture(params=["simplejpeg", "Pillow alone"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "simplejpeg":
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(sys.modules["relforge.images.decode"], "simplejpeg", None)


def upright(orientation: int) -> np.ndarray:
    return np.asarray(gradient().transpose(UPRIGHT[orientation]))


def nearly(pixels: np.ndarray, expected: np.ndarray) -> bool:
    """Equal but for what JPEG changes."""
    return pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).mean() < 4


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_jpeg_is_turned_wherever_its_tag_is(place: str, orientation: int) -> None:
    assert nearly(decode(tagged_jpeg(place, orientation)), upright(orientation))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_both_decoders_give_the_same_pixels(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    files = [tagged_jpeg(place, orientation) for place in PLACES]
    fast = [decode(data) for data in files]
    monkeypatch.setattr(sys.modules["relforge.images.decode"], "simplejpeg", None)
    assert all(np.array_equal(one, decode(data)) for one, data in zip(fast, files, strict=True))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_other_formats_are_turned_too_or_left_as_stored(form: str, orientation: int) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(gradient(), form, exif=exif(orientation), **options)
    assert np.array_equal(decode(data), upright(orientation))
    assert np.array_equal(decode(data, STORED, orientation="stored"), np.asarray(gradient()))
    if orientation >= 5:  # the annotated size decides for which pixels the boxes are
        assert np.array_equal(decode(data, STORED), np.asarray(gradient()))
        assert np.array_equal(decode(data, STORED[::-1]), upright(orientation))


def test_an_image_without_boxes_is_upright_whatever_boxes_were_written_for() -> None:
    assert nearly(decode(tagged_jpeg("near", 3), orientation="stored"), upright(3))


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_where_size_cannot_settle_it_the_option_does(orientation: int) -> None:
    data = tagged_jpeg("near", orientation)
    assert nearly(decode(data, STORED, orientation="stored"), np.asarray(gradient()))
    assert nearly(decode(data, STORED, orientation="upright"), upright(orientation))
    assert nearly(decode(data, STORED), upright(orientation))


@pytest.mark.parametrize("side", [(48, 48), (1, 1)])
def test_a_turned_square_is_upright_by_default(side: tuple[int, int]) -> None:
    decoded = decode_oriented(tagged_jpeg("near", 6, gradient(*side)), side)
    assert decoded.unsettled
    assert nearly(decoded.pixels, np.rot90(np.asarray(gradient(*side)), -1))


@pytest.mark.parametrize(
    ("orientation", "annotated", "option", "unsettled"),
    [
        (1, STORED, None, False),
        (3, STORED, None, True),
        (3, (2 * WIDTH, 2 * HEIGHT), None, True),
        (3, STORED, "stored", False),
        (3, STORED, "upright", False),
        (3, None, None, False),
        (6, STORED, None, False),
        (6, STORED[::-1], None, False),
    ],
)
def test_images_are_counted_where_neither_size_nor_option_settles_it(
    orientation: int, annotated: tuple[int, int] | None, option: str | None, unsettled: bool
) -> None:
    data = tagged_jpeg("near", orientation)
    assert decode_oriented(data, annotated, orientation=option).unsettled == unsettled


def test_an_option_against_the_size_is_refused_rather_than_boxes_moved() -> None:
    with pytest.raises(ImageError) as caught:
        decode_as_annotated(tagged_jpeg("near", 6), STORED, orientation="upright")
    assert caught.value.reason == "size_mismatch"


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("orientation", [0, 9])
def test_a_tag_that_exif_does_not_know_says_nothing(orientation: int) -> None:
    data = encoded(gradient(), "JPEG", exif=exif(orientation), quality=95)
    assert nearly(decode(data), np.asarray(gradient()))


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
def test_broken_metadata_loses_no_image(block: bytes) -> None:
    plain = encoded(gradient(), "JPEG", quality=95)
    assert nearly(decode(plain[:2] + segment(0xE1, block) + plain[2:]), np.asarray(gradient()))
    # and XMP is still read
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='3'/>")
    assert nearly(decode(plain[:2] + segment(0xE1, block) + xmp + plain[2:]), upright(3))


@pytest.mark.parametrize("block", [b"Exif\0\0XX", b"XX", b"MM\0*"])
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_broken_metadata_of_other_formats_loses_no_image(form: str, block: bytes) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    assert np.array_equal(decode(encoded(gradient(), form, exif=block, **options)), np.asarray(gradient()))
