"""The stage around a captioner: which images it gets, and the account of what it made of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
import pytest
from PIL import Image as PillowImage

from relforge.stages.caption.captioner import Caption, Image, LoadedCaptioner
from relforge.stages.caption.stage import CaptionStage
from relforge.stages.tables import SCHEMAS

Captioned = tuple[str, Sequence[Caption]]


class Small:
    """A captioner that does with the images what a test defines."""

    version = 4
    neutral_options = ("device",)

    def __init__(self, write: Callable[[Iterable[Image]], Iterator[Captioned]]) -> None:
        self.write = write

    def files(self) -> Sequence[str]:
        return ["small.bin"]

    def load(self) -> LoadedCaptioner:
        return LoadedCaptioner("small", image_size=6, prompt="this is", notes={"device": "cpu"})

    def caption(self, images: Iterable[Image]) -> Iterator[Captioned]:
        return self.write(images)


def shard(*ids: str) -> dict[str, pa.Table]:
    buffer = io.BytesIO()
    PillowImage.new("RGB", (9, 5), (200, 0, 0)).save(buffer, "PNG")
    row = {"dataset": "d", "split": "s", "uri": None, "width": 9, "height": 5, "bytes": buffer.getvalue()}
    return {"images": pa.Table.from_pylist([{"image_id": i, **row} for i in ids], schema=SCHEMAS["images"])}


def make_stage(write: Callable[[Iterable[Image]], Iterator[Captioned]], seed: int = 0) -> CaptionStage:
    stage = CaptionStage(Small(write), seed)
    stage.setup()
    return stage


def test_version_files_and_neutral_options_are_the_captioners_and_threads() -> None:
    stage = CaptionStage(Small(iter))  # type: ignore[arg-type]
    assert (stage.version, stage.files()) == (4, ["small.bin"])
    assert stage.neutral_options == ("threads", "device")


def test_images_come_at_the_captioners_size_with_a_key_of_seed_and_id() -> None:
    seen: list[Image] = []

    def write(images: Iterable[Image]) -> Iterator[Captioned]:
        for image in images:
            seen.append(image)
            yield image.image_id, [Caption("a red field")]

    make_stage(write).process(shard("a", "b"))
    make_stage(write).process(shard("b"))
    make_stage(write, seed=1).process(shard("b"))
    assert {tuple(image.pixels.shape) for image in seen} == {(3, 6, 6)}
    a, b, again, other_seed = (image.random_key for image in seen)
    assert b == again
    assert len({a, b, other_seed}) == 3


def test_rows_are_sorted_in_whatever_order_captions_come_and_keep_their_numbers() -> None:
    def write(images: Iterable[Image]) -> Iterator[Captioned]:
        for image in reversed(list(images)):
            captions = [Caption("a dog", -1.5), Caption("this is this is a dog"), Caption("a cat")]
            yield image.image_id, captions

    result = make_stage(write).process(shard("a", "b"))
    rows = result.tables["captions"].to_pylist()
    assert [(row["image_id"], row["caption_id"], row["text"]) for row in rows] == [
        (image_id, number, text) for image_id in "ab" for number, text in ((0, "a dog"), (2, "a cat"))
    ]
    assert (rows[0]["source"], rows[0]["seed"], rows[0]["logprob"], rows[1]["logprob"]) == (
        "small",
        0,
        -1.5,
        None,
    )
    assert result.notes == {"caption_faults": {"prompt_echo": 2}, "captions_dropped": 2, "device": "cpu"}


def test_an_image_without_a_sound_caption_is_dropped() -> None:
    def write(images: Iterable[Image]) -> Iterator[Captioned]:
        yield from ((image.image_id, [Caption("a dog" if image.image_id == "a" else "")]) for image in images)

    result = make_stage(write).process(shard("a", "b", "c"))
    assert (result.kept, result.dropped, result.quarantined) == (1, {"no_sound_caption": 2}, [])


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["a"], r"no captions of images \['b'\]"),
        (["a", "a"], "image 'a' was not given"),
        (["a", "b", "c"], "image 'c' was not given"),
    ],
)
def test_a_captioner_that_loses_or_repeats_an_image_is_stopped(ids: list[str], words: str) -> None:
    def write(images: Iterable[Image]) -> Iterator[Captioned]:
        list(images)
        yield from ((image_id, [Caption("a dog")]) for image_id in ids)

    with pytest.raises(RuntimeError, match=words):
        make_stage(write).process(shard("a", "b"))


def test_captions_of_a_model_are_cleaned_of_markup() -> None:
    def write(images: Iterable[Image]) -> Iterator[Captioned]:
        for image in images:
            yield image.image_id, [Caption("a man &amp; a  dog on a red field")]

    result = make_stage(write).process(shard("a"))

    assert result.tables["captions"]["text"].to_pylist() == ["a man & a dog on a red field"]
