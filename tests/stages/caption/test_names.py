"""Which key of a caption file an image's captions have, and when that cannot be known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relforge.stages.caption.names import AmbiguousName, KeyIndex


def find(keys: Sequence[str], image_id: str, *names: str | None, shared: bool | None = False) -> str | None:
    return KeyIndex(keys).find(image_id, names, shared)


def test_the_id_counts_before_any_name() -> None:
    assert find(["7", "7.jpg"], "7", "7.jpg") == "7"


def test_the_whole_name_counts_before_similar_ones_and_whoever_shares_it() -> None:
    assert find(["a/7.jpg", "b/7.jpg", "7.jpg"], "1", "a/7.jpg", shared=True) == "a/7.jpg"
    assert find(["./a\\7.jpg"], "1", "a/7.jpg", shared=True) == "./a\\7.jpg"
    # of the URI too
    assert find(["pics/a/7.jpg", "b/7.jpg"], "1", None, "pics/a/7.jpg", shared=None) == "pics/a/7.jpg"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("7.jpg", "val/7.jpg"),
        ("val/7.jpg", "7.jpg"),
        ("train/val/7.jpg", "val/7.jpg"),
        ("a7.JPG", "A7.jpg"),
        ("a7", "a7.jpg"),
        ("a7.jpg", "a7"),
    ],
)
def test_a_key_may_lack_folders_case_or_extension(key: str, name: str) -> None:
    assert find([key, "other.jpg"], "1", name) == key


@pytest.mark.parametrize(
    ("key", "name"), [("train/7.jpg", "val/7.jpg"), ("a7.png", "a7.jpg"), ("a8.jpg", "a7.jpg")]
)
def test_a_key_of_another_folder_extension_or_stem_is_of_another_image(key: str, name: str) -> None:
    assert find([key], "1", name) is None


def test_several_keys_that_fit_are_refused_with_their_names() -> None:
    with pytest.raises(AmbiguousName, match=r"image 1 \(7\.jpg\): captions of 'a/7\.jpg', 'b/7\.jpg' fit"):
        find(["a/7.jpg", "b/7.jpg"], "1", "7.jpg")


def test_of_keys_that_differ_in_case_the_one_in_the_case_of_the_name_is_meant() -> None:
    assert find(["a7.jpg", "A7.jpg"], "1", "val/a7.jpg") == "a7.jpg"
    with pytest.raises(AmbiguousName):
        find(["aB7.jpg", "Ab7.jpg"], "1", "val/ab7.jpg")


def test_a_key_that_fits_several_images_is_refused_unless_it_has_the_folder() -> None:
    with pytest.raises(AmbiguousName, match="fits other images too"):
        find(["7.jpg"], "1", "val/7.jpg", shared=True)
    assert find(["coco/val/7.jpg"], "1", "val/7.jpg", shared=True) == "coco/val/7.jpg"


def test_where_other_images_are_not_known_a_name_without_its_folder_is_refused() -> None:
    with pytest.raises(AmbiguousName, match="other images may have that name"):
        find(["7.jpg"], "1", "val/7.jpg", shared=None)
    assert find(["coco/val/7.jpg"], "1", "val/7.jpg", shared=None) == "coco/val/7.jpg"
    assert find(["7.JPG"], "1", "7.jpg", shared=None) == "7.JPG"


@pytest.mark.parametrize("key", ["0", "7", "139"])
def test_a_bare_number_may_be_the_id_of_another_image(key: str) -> None:
    with pytest.raises(AmbiguousName, match=f"'{key}' may be the id of another image"):
        find([key], "1", f"{key}.jpg")
    assert find([f"00{key}"], "1", f"00{key}.jpg") == f"00{key}"
