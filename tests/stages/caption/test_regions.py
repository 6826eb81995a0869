"""Captions of parts of an image: which parts, their random numbers, their captions and the account."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as PillowImage

from relforge.models.blip.uniform import derive_random_key
from relforge.stages.caption.captioner import Caption, Image, LoadedCaptioner
from relforge.stages.caption.regions import choose_regions
from relforge.stages.caption.stage import CaptionStage
from relforge.stages.contract import StageResult
from relforge.stages.tables import SCHEMAS


def box(number: int, category: str, x: float, y: float, w: float, h: float) -> dict[str, Any]:
    row = {"image_id": "a", "box_id": number, "category": category, "iscrowd": False, "source_id": ""}
    return row | {"x": x, "y": y, "w": w, "h": h}


PERSON, HORSE, CUP = (
    box(0, "person", 10, 10, 20, 40),
    box(1, "horse", 30, 20, 40, 30),
    box(2, "cup", 90, 90, 5, 5),
)


def test_people_are_enlarged_by_a_half_and_stay_inside_the_image() -> None:
    (region,) = choose_regions("people", [PERSON, HORSE], (100, 100))

    assert (region.kind, region.boxes) == ("person", (0,))
    assert region.xywh == (5, 0, 30, 60)


def test_pairs_are_the_union_of_a_person_and_its_nearest_boxes() -> None:
    regions = choose_regions("pairs", [PERSON, HORSE, CUP], (100, 100))

    assert [(one.kind, one.boxes) for one in regions] == [
        ("person", (0,)),
        ("pair", (0, 1)),
        ("pair", (0, 2)),
    ]
    assert regions[1].xywh == (10, 10, 60, 40)
    many = [box(n, "person" if n < 5 else "cup", n, n, 5, 5) for n in range(20)]
    assert len(choose_regions("pairs", many, (100, 100))) == 12
    assert choose_regions("pairs", [HORSE, CUP], (100, 100)) == []


class Echo:
    """Captions every part by its mean colour and random key, three times, the parts in reverse."""

    version = 1
    neutral_options = ()

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}

    def files(self) -> Sequence[str]:
        return []

    def load(self) -> LoadedCaptioner:
        return LoadedCaptioner("echo", image_size=6)

    def caption(self, images: Iterable[Image]) -> Iterator[tuple[str, Sequence[Caption]]]:
        seen = list(images)
        for image in reversed(seen):
            self.keys[image.image_id] = image.random_key
            red = int(image.pixels[0].float().mean())
            yield image.image_id, [Caption(f"a scene of red {red} number {n}") for n in range(3)]


def run(regions: str, images: Sequence[str] = ("a",), **options: Any) -> tuple[StageResult, Echo]:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, :40] = (200, 0, 0)
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    rows = [
        {"image_id": name, "dataset": "d", "split": "s", "width": 100, "height": 100}
        | {"bytes": buffer.getvalue() if name != "broken" else b"x"}
        for name in images
    ]
    boxes = [one | {"image_id": name} for name in images for one in (PERSON, HORSE)]
    echo = Echo()
    stage = CaptionStage(echo, seed=5, regions=regions, **options)
    stage.setup()
    tables = {"images": pa.Table.from_pylist(rows, schema=SCHEMAS["images"])}
    tables["boxes"] = pa.Table.from_pylist(boxes, schema=SCHEMAS["boxes"])
    return stage.process(tables), echo


def test_each_region_has_captions_of_its_own_pixels_numbered_after_the_images() -> None:
    result, _ = run("pairs", region_captions=2)

    captions = {row["caption_id"]: row["text"] for row in result.tables["captions"].to_pylist()}
    assert sorted(captions) == list(range(3 + 2 + 2))
    whole, person, pair = (int(captions[n].split()[4]) for n in (0, 3, 5))
    assert person == 200  # nothing but the red part
    assert whole < pair < person
    regions = result.tables["regions"].to_pylist()
    assert [row["caption_ids"] for row in regions] == [[3, 4], [5, 6]]
    assert [(row["kind"], row["subject_box"], row["object_box"]) for row in regions] == [
        ("person", 0, None),
        ("pair", 0, 1),
    ]
    assert [(row["x"], row["w"]) for row in regions] == [(5, 30), (10, 60)]
    assert result.kept == 1


def test_random_numbers_are_of_the_region_and_the_images_are_as_without_regions() -> None:
    _, alone = run("none")
    _, people = run("people")
    _, pairs = run("pairs")

    assert alone.keys["a"] == people.keys["a"] == pairs.keys["a"] == derive_random_key(5, "a")
    assert len(set(pairs.keys.values())) == 3
    assert people.keys.items() <= pairs.keys.items()


def test_an_image_that_cannot_be_read_is_lost_once_and_others_keep_theirs() -> None:
    result, _ = run("people", images=("a", "broken", "c"))

    assert (result.kept, [one.record["image_id"] for one in result.quarantined]) == (2, ["broken"])
    assert result.tables["regions"]["image_id"].to_pylist() == ["a", "c"]


def test_without_regions_there_is_no_table_of_them_and_unknown_kinds_are_named() -> None:
    result, _ = run("none")

    assert list(result.tables) == ["captions"]
    assert CaptionStage(Echo()).outputs == ("captions",)
    assert CaptionStage(Echo(), regions="people").inputs == ("images", "boxes")
    with pytest.raises(ValueError, match=r"caption.regions: 'all'; choose one of none, people, pairs"):
        CaptionStage(Echo(), regions="all")
    with pytest.raises(ValueError, match=r"caption.region_captions: 0 keeps nothing"):
        CaptionStage(Echo(), regions="people", region_captions=0)
