"""By what an image is known: ids of data sets, and who shares them."""

from __future__ import annotations

import pytest

from relforge.data.audit.identity import identities


@pytest.mark.parametrize(
    ("name", "format", "number", "known"),
    [
        ("COCO_val2014_000000000042.jpg", "", "", {"coco:42"}),
        ("images/val2017/000000000042.jpg", "", "", {"coco:42"}),
        ("", "vcoco", "42", {"coco:42"}),
        ("HICO_test2015_00000007.jpg", "hico", "", {"hico:HICO_test2015_00000007"}),
        ("0a1b2c3d4e5f6789.jpg", "", "", {"open_images:0a1b2c3d4e5f6789"}),
        ("VG_100K/2345.jpg", "visual_genome", "2345", {"visual_genome:2345", "coco:99"}),
        ("", "vg150", "2345", {"visual_genome:2345", "coco:99"}),
        ("2345.jpg", "", "2345", {"file:2345.jpg"}),
        ("C:\\photos\\Cat.JPG", "", "", {"file:cat.jpg"}),
        ("", "", "7", set()),
    ],
)
def test_names_and_numbers(name: str, format: str, number: str, known: set[str]) -> None:
    assert identities(name, format, number, {2345: 99}) == known
