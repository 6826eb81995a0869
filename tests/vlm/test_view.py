"""Views are the same pixels everywhere: hidden where they say, sharp where they say."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from relforge.vlm.digits import draw_number
from relforge.vlm.frame import around, whole_image
from relforge.vlm.view import VIEWS, check_view, draw_view, mean_filter

PIXELS = np.random.default_rng(7).integers(0, 256, (60, 90, 3), dtype=np.uint8)
PAIR = {2: (10.0, 5.0, 20.0, 20.0), 5: (40.0, 30.0, 30.0, 10.0)}


def drawn(view: str, **options: Any) -> Any:
    return draw_view(PIXELS, (90, 60), PAIR, "f" * 64, view=view, **options)


def ascii_art(pixels: np.ndarray) -> list[str]:
    """Black as `.`, white as `#`, all else as `o`."""
    names = np.where((pixels == 0).all(2), ".", np.where((pixels == 255).all(2), "#", "o"))
    return ["".join(row) for row in names]


def test_plain_is_the_image() -> None:
    view, frame = drawn("plain")
    assert np.array_equal(view.pixels, PIXELS)
    assert (frame.width, frame.height) == (90, 60)
    assert view.recipe == {"view": "plain", "size": [90, 60], "pixels": 448, "version": 1}


def test_a_crop_is_the_rectangle_of_both_boxes_and_its_margin() -> None:
    # the rectangle is 10..70 x 5..40: 60 wide, 35 high
    assert np.array_equal(drawn("crop", margin=0.0)[0].pixels, PIXELS[5:40, 10:70])
    assert np.array_equal(drawn("crop", margin=0.1)[0].pixels, PIXELS[1:44, 4:76])
    assert np.array_equal(drawn("crop", margin=9.0)[0].pixels, PIXELS)


def test_blur_leaves_both_boxes_sharp_and_nothing_else() -> None:
    shown = drawn("blur", margin=0.0)[0].pixels
    cut = PIXELS[5:40, 10:70]
    sharp = np.zeros(cut.shape[:2], bool)
    sharp[0:20, 0:20] = sharp[25:35, 30:60] = True
    assert np.array_equal(shown[sharp], cut[sharp])
    assert np.array_equal(shown[~sharp], mean_filter(cut, 2)[~sharp])


@pytest.mark.parametrize("radius", [1, 2, 7, 40])
def test_the_mean_filter_is_scipys(radius: int) -> None:
    side = 2 * radius + 1
    mean = uniform_filter(PIXELS.astype(float), size=(side, side, 1), mode="nearest")
    assert np.abs(mean_filter(PIXELS, radius) - mean).max() <= 0.5 + 1e-6


def test_black_hides_other_boxes_but_not_where_they_cover_the_pair() -> None:
    other = (15.0, 10.0, 30.0, 30.0)
    shown = drawn("black", margin=0.0, others=[other])[0].pixels
    cut = PIXELS[5:40, 10:70].copy()
    hidden = np.zeros(cut.shape[:2], bool)
    hidden[5:35, 5:35] = True
    hidden[0:20, 0:20] = hidden[25:35, 30:60] = False
    cut[hidden] = 0
    assert np.array_equal(shown, cut)


def test_marks_are_numbered_outlines() -> None:
    white = np.full((14, 16, 3), 255, np.uint8)
    shown, _ = draw_view(white, (16, 14), {4: (3.0, 2.0, 11.0, 11.0)}, "", view="marks")
    assert ascii_art(shown.pixels) == [
        "################",
        "################",
        "###ooooooooooo##",
        "###oooo#oo###o##",
        "###ooo##oo###o##",
        "###oo#o#oo###o##",
        "###o#oo#oo###o##",
        "###o#####o###o##",
        "###oooo#oo###o##",
        "###oooo#oo###o##",
        "###ooooooo###o##",
        "###o#########o##",
        "###ooooooooooo##",
        "################",
    ]


def test_numbers_are_read_from_their_dots() -> None:
    assert ["".join(".#"[int(dot)] for dot in row) for row in draw_number(170)] == [
        "...................",
        "...#...#####..###..",
        "..##.......#.#...#.",
        "...#......#..#..##.",
        "...#.....#...#.#.#.",
        "...#....#....##..#.",
        "...#....#....#...#.",
        "..###...#.....###..",
        "...................",
    ]
    assert draw_number(12, scale=3).shape == (27, 39)
    with pytest.raises(ValueError, match="0 or more"):
        draw_number(-1)


GOLDEN = {
    "blur": "0d13f80f4ecd5eb9",
    "black": "555d3c6c033c35e7",
    "crop": "6336e6c3460520b8",
    "marks": "7cbf72a10215b170",
    "plain": "9717396de0d52dd8",
}


@pytest.mark.parametrize("view", VIEWS)
def test_the_pixels_of_a_view_are_the_same_on_every_machine(view: str) -> None:
    shown = drawn(view, longest=37, others=[(60.0, 0.0, 30.0, 60.0)])[0].pixels
    assert max(shown.shape) == 37
    assert hashlib.sha256(shown.tobytes()).hexdigest()[:16] == GOLDEN[view]


def test_an_image_stored_at_another_scale_shows_the_same_part() -> None:
    twice = PIXELS.repeat(2, 0).repeat(2, 1)
    shown, frame = draw_view(twice, (90, 60), PAIR, "", view="crop", margin=0.0)
    assert np.array_equal(shown.pixels, twice[10:80, 20:140])
    assert frame.place(PAIR[5]) == (60.0, 50.0, 120.0, 70.0)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("box", [(500.0, 500.0, 9.0, 9.0), (-50.0, -5.0, 1.0, 1.0), (3.0, 3.0, 0.1, 0.1)])
def test_a_box_outside_the_image_or_smaller_than_a_pixel_still_shows_something(view: str, box: Any) -> None:
    shown, _ = draw_view(PIXELS, (90, 60), {0: box, 12345: box}, "", view=view)
    assert shown.pixels.size


def test_a_recipe_names_all_that_decides_the_pixels() -> None:
    recipes = [drawn("blur"), drawn("blur", margin=0.2), drawn("blur", longest=64), drawn("marks")]
    recipes += [drawn("black"), drawn("black", others=[(0.0, 0.0, 5.0, 5.0)])]
    recipes += [drawn("blur", orientation="stored")]
    assert len({str(view.recipe) for view, _ in recipes}) == len(recipes)


@pytest.mark.parametrize(
    ("coordinates", "expected"),
    [("none", ""), ("relative1000", "[444,500,778,667]"), ("pixels", "[20,15,35,20]")],
)
def test_coordinates_are_of_the_image_as_it_is_shown(coordinates: str, expected: str) -> None:
    frame = whole_image((180, 120), (90, 60), 45)
    assert frame.write(PAIR[5], coordinates) == expected


def test_coordinates_of_a_crop_count_from_its_corner() -> None:
    frame = around(list(PAIR.values()), 0.0, (90, 60), (90, 60), 448)
    assert frame.write(PAIR[2], "pixels") == "[0,0,20,20]"


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match="view is 'ellipse'; choose one of blur, black"):
        check_view("ellipse")
