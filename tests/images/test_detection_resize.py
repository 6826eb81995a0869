"""One resize for labelling, training and evaluation: DETR's sizes, Pillow's pixels."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from relforge.data.relations import Example
from relforge.data.transforms import load_image
from relforge.data.views import View
from relforge.images import ImageError
from relforge.images.detection_resize import DetectionResize, normalise_imagenet
from tests.images.pillow import resize_by_passes

SHORT, LONG = 800, 1333


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (480, 640, (800, 1066)),  # 1066.67: truncated
        (640, 480, (1066, 800)),
        (427, 640, (800, 1199)),  # 1199.06
        (612, 612, (800, 800)),
        (375, 500, (800, 1066)),
        (333, 500, (800, 1201)),  # 1201.2
        (640, 425, (1204, 800)),  # 1204.7: truncated
        (500, 281, (1332, 749)),  # `long_side` limits: 749.1 rounds down, then 1332.7 is truncated
        (300, 900, (444, 1332)),  # 444.3 rounds down
        (361, 640, (752, 1333)),  # 751.9 rounds up
        (640, 359, (1333, 748)),  # 747.7 rounds up
        (479, 800, (798, 1332)),  # 798.1, then 1332.8
        (800, 1333, (800, 1333)),
        (800, 1200, (800, 1200)),  # left as it is
        (3, 4, (800, 1066)),
        (1, 5000, (1, 1333)),  # thinner than a pixel: DETR's own function would leave none
    ],
)
def test_sizes_are_detrs(height: int, width: int, expected: tuple[int, int]) -> None:
    assert DetectionResize(SHORT, LONG).size(height, width) == expected


def published_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """DETR's `get_size_with_aspect_ratio`, restated (Carion et al., 2020, data transforms)."""
    shorter, longer = float(min(height, width)), float(max(height, width))
    if longer / shorter * short_side > long_side:
        short_side = round(long_side * shorter / longer)
    if min(height, width) == short_side:
        return height, width
    if width < height:
        return int(short_side * height / width), short_side
    return short_side, int(short_side * width / height)


@pytest.mark.parametrize("short_side", [480, 576, 800])
def test_sizes_follow_the_published_function_for_every_shape_of_a_photo(short_side: int) -> None:
    resize = DetectionResize(short_side, LONG)
    for height in range(150, 650, 7):
        for width in range(150, 650, 7):
            assert resize.size(height, width) == published_size(height, width, short_side, LONG)


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (40, 120), (130, 41), (96, 96)])
def test_pixels_are_pillows_bilinear_ones(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    resize = DetectionResize(64, 90)
    wanted = resize.size(height, width)

    made = resize(pixels)

    assert made.dtype == torch.uint8
    assert np.array_equal(made.permute(1, 2, 0).numpy(), resize_by_passes(pixels, wanted, "bilinear"))


def example(pixels: np.ndarray, size: tuple[int, int], orientation: int = 1) -> Example:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    return Example(
        uri=None,
        data=buffer.getvalue(),
        size=size,
        boxes=np.zeros((0, 4)),
        categories=np.zeros(0, int),
        pairs=np.zeros((0, 2), int),
        predicates=[],
    )


def test_training_and_evaluation_see_the_image_that_labelling_sees() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 63, 3), dtype=np.uint8)

    plain = load_image(example(pixels, (63, 48)), View(64, 90))
    mirrored = load_image(example(pixels, (63, 48)), View(64, 90, mirror=True))

    assert torch.equal(plain, normalise_imagenet(DetectionResize(64, 90)(pixels)))
    assert torch.equal(mirrored, normalise_imagenet(DetectionResize(64, 90)(pixels[:, ::-1])))


def test_training_turns_an_image_only_where_its_boxes_are_turned() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for size, shape in (((64, 48), (3, 48, 64)), ((48, 64), (3, 64, 48))):
        assert load_image(example(pixels, size, orientation=6), View(48, 90)).shape == shape


def test_training_refuses_an_image_of_another_shape_than_its_boxes_and_one_above_the_limit() -> None:
    one = example(np.zeros((48, 64, 3), np.uint8), (64, 64))
    with pytest.raises(ImageError, match="annotation says 64 x 64"):
        load_image(one, View(48, 90))
    with pytest.raises(ImageError, match="limit is 100"):
        load_image(replace(one, max_pixels=100), View(48, 90))


def test_normalisation_is_imagenets() -> None:
    pixels = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None].double()
    assert (normalise_imagenet(pixels) - (pixels.double() / 255 - mean) / std).abs().max() < 1e-5
