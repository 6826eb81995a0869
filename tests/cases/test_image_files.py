"""Image files from the field: what a folder of images may hold, and what a run makes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from relforge.data.sources import load_relations
from relforge.data.transforms import load_image
from relforge.data.views import View
from tests.cases.conftest import Case
from tests.images.drawn import claiming, encoded, gradient, postscript, tagged_jpeg

RIDING = "a man riding a horse"
SIZE = (320, 240)
WEIGHTS = Path(__file__).resolve().parents[2] / "demo" / "weights"
RTAGGER = (
    "stages.tag={backend: rtagger, model: %s, short_side: 96, long_side: 128, device: cpu, floor: 0.0}"
    % (WEIGHTS / "rtagger")
)


def draw(
    case: Case, files: Mapping[str, bytes | None], sizes: Mapping[str, tuple[int, int]] | None = None
) -> None:
    """A person and a horse in each image, which is annotated as 320 x 240 where `sizes` says nothing else.

    Args:
        files: name below the folder `pics` -> its bytes; None: the test makes it, or nobody does.
    """
    (case.folder / "pics").mkdir(exist_ok=True)
    images, annotations = [], []
    for number, (name, data) in enumerate(files.items(), 1):
        if data is not None:
            case.write(f"pics/{name}", data)
        width, height = (sizes or {}).get(name, SIZE)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for category, y in ((1, 0), (2, height / 2)):
            box = {"id": 10 * number + category, "image_id": number, "category_id": category}
            annotations.append(box | {"bbox": [0, y, width, height / 2], "iscrowd": 0})
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}]
    case.write("ann.json", {"images": images, "annotations": annotations, "categories": categories})
    case.write("captions.json", {image["id"]: [RIDING] for image in images})


def run(case: Case, *overrides: str) -> None:
    said = case.run(f"dataset.images={case.folder / 'pics'}", "run.quarantine_limit=1", *overrides)
    assert said.code == 0, said.err


def set_aside(case: Case, stage: str) -> dict[str, str]:
    """Image id -> reason."""
    return dict(case.rows(f"quarantine/{stage}", ("image_id", "reason")))


PLAIN = encoded(gradient(*SIZE), "JPEG")


def test_a_postscript_file_named_jpg_is_no_image_and_starts_no_program(case, monkeypatch) -> None:
    stand_in, ran = case.folder / "gs", case.folder / "ran"
    case.write("gs", f"#!/bin/sh\ntouch {ran}\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{case.folder}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # so that it is looked for again
    draw(case, {"1.jpg": postscript(), "2.jpg": PLAIN})

    run(case, "dataset.require_images=true")

    assert set_aside(case, "ingest") == {"1": "not_an_image"}
    assert not ran.exists()


@pytest.mark.parametrize("place", ["near", "far", "attribute", "element"])
def test_an_image_turned_by_its_file_has_the_size_of_its_annotation(case, place) -> None:
    draw(case, {"1.jpg": tagged_jpeg(place, 6, gradient(*SIZE))}, {"1.jpg": SIZE[::-1]})

    run(case, "dataset.require_images=true")

    assert case.related() == {"1"}


TURNED = {"1.jpg": PLAIN, "2.jpg": tagged_jpeg("near", 3, gradient(*SIZE))}


@pytest.mark.parametrize(
    ("option", "noted"),
    [([], 1), (["dataset.orientation=stored"], None), (["dataset.orientation=upright"], None)],
)
def test_ingest_notes_images_whose_orientation_neither_size_nor_option_settles(case, option, noted) -> None:
    draw(case, TURNED)

    run(case, "dataset.require_images=true", *option)

    assert case.sidecar("images")["notes"].get("orientation_unsettled") == noted


def test_view_shows_the_pixels_that_boxes_were_written_for(case, relforge) -> None:
    draw(case, TURNED)
    run(case, "dataset.orientation=stored")
    stored = relforge("view", case.folder / "run", "--json", "--out", case.folder / "stored.html")
    assert stored.code == 0, stored.err
    run(case, "dataset.orientation=upright")
    upright = relforge("view", case.folder / "run", "--json", "--out", case.folder / "upright.html")
    assert upright.code == 0, upright.err

    assert (case.folder / "stored.html").read_text() != (case.folder / "upright.html").read_text()


def test_training_reads_the_images_of_a_run_as_the_run_does(case) -> None:
    draw(case, TURNED)
    for option, kept in (("stored", 1), ("upright", -1)):
        run(case, f"dataset.orientation={option}", "dataset.max_pixels=100000")
        data = load_relations([{"run": str(case.folder / "run")}])
        assert {(data[i].orientation, data[i].max_pixels) for i in range(2)} == {(option, 100_000)}
        plain, turned = (load_image(data[i], View(240, 320)) for i in range(2))
        same = turned.flip(1, 2) if kept < 0 else turned
        assert (plain - same).abs().mean() < 0.1


@pytest.mark.timeout(120)  # who opens a FIFO or a device waits without end
def test_fifos_devices_and_endless_links_are_set_aside_one_by_one(case, relforge) -> None:
    names = ["fifo.jpg", "zero.jpg", "itself.jpg", "long" * 100 + ".jpg"]
    draw(case, {"1.jpg": PLAIN} | dict.fromkeys(names))
    os.mkfifo(case.folder / "pics" / "fifo.jpg")
    (case.folder / "pics" / "zero.jpg").symlink_to("/dev/zero")
    (case.folder / "pics" / "itself.jpg").symlink_to("itself.jpg")

    run(case)  # the images table names them
    assert relforge("view", case.folder / "run", "--out", case.folder / "page.html").code == 0
    run(case, "dataset.require_images=true", "dataset.follow_links=true")

    expected = {"2": "not_a_file", "3": "not_a_file", "4": "missing_file", "5": "bad_file_name"}
    assert set_aside(case, "ingest") == expected
    assert case.related() == {"1"}


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_an_image_that_claims_more_pixels_than_the_config_allows_is_set_aside_undecoded(case, form) -> None:
    draw(case, {"1.jpg": PLAIN, "2.jpg": claiming(9900, 9000, form)}, {"2.jpg": (9900, 9000)})

    run(case, "dataset.require_images=true", "dataset.max_pixels=1000000")

    assert set_aside(case, "ingest") == {"2": "too_large"}
    assert case.related() == {"1"}


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("orientaton=stored", "did you mean 'orientation'?"),
        ("orientation=left", "stored"),
        ("max_pixels=0", "1"),
        ("max_pixels=1000000000", "178956970"),
    ],
)
def test_a_wrong_option_of_images_is_one_sentence(case, option, says) -> None:
    draw(case, {"1.jpg": PLAIN})

    said = case.run(f"dataset.{option}")

    assert said.code == 64
    assert f"dataset.{option.partition('=')[0]}" in said.err
    assert says in said.err
    assert "Traceback" not in said.err


STRIPS = {"tall.png": (1, 300), "wide.png": (3000, 1), "dot.png": (1, 1)}


@pytest.mark.slow
def test_strips_go_through_captioner_and_tagger_and_bad_files_are_set_aside(case, relforge) -> None:
    files = {name: encoded(gradient(*size), "PNG") for name, size in STRIPS.items()}
    files |= {"1.jpg": PLAIN, "2.jpg": PLAIN[:-200], "3.jpg": b"", "4.png": claiming(9900, 9000, "PNG")}
    draw(case, files, {**STRIPS, "4.png": (9900, 9000)})

    run(case, RTAGGER, "dataset.max_pixels=1000000")

    usable = {"1", "2", "3", "4"}
    assert {image for (image,) in case.rows("scores", ("image_id",))} == usable
    assert set_aside(case, "tag") == {"5": "truncated", "6": "empty_file", "7": "too_large"}

    run(
        case,
        f"stages.caption={{backend: blip, model: {WEIGHTS / 'blip'}, device: cpu}}",
        "dataset.max_pixels=1000000",
    )

    captioned = {image for (image,) in case.rows("captions", ("image_id",))}
    assert captioned <= usable
    assert set_aside(case, "caption") == {"5": "truncated", "6": "empty_file", "7": "too_large"}
    said = relforge("view", case.folder / "run", "--json", "--out", case.folder / "page.html")
    assert said.json["without_thumbnail"] == 3


@pytest.mark.slow
def test_the_tag_stage_notes_and_follows_the_orientation(case) -> None:
    draw(case, TURNED)

    run(case, RTAGGER)
    assert case.sidecar("scores")["notes"]["orientation_unsettled"] == 1
    upright = case.rows("scores", ("image_id", "score"))
    run(case, RTAGGER, "dataset.orientation=stored")
    assert "orientation_unsettled" not in case.sidecar("scores")["notes"]
    stored = case.rows("scores", ("image_id", "score"))

    changed = {a[0] for a, b in zip(upright, stored, strict=True) if a != b}
    assert changed == {"2"}


def test_no_page_shows_an_image_outside_the_folder(case, relforge) -> None:
    secret = encoded(Image.effect_noise(SIZE, 80).convert("RGB"), "PNG")
    draw(case, {"1.jpg": PLAIN, "../secret.jpg": secret})

    run(case, "dataset.embed_images=true")
    said = relforge("view", case.folder / "run", "--json", "--out", case.folder / "page.html")

    assert said.code == 0, said.err
    assert len(case.rows("images", ("image_id",))) == 1
