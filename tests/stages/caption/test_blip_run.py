"""Caption, parse and match with a small BLIP through Ray, driver killed half-way: the same captions as an
undisturbed run. On the real photos where they are available, else on generated images."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image

from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job, Resources, SourceSpec, StageSpec
from relforge.pipeline.run.ray_session import ray_session
from relforge.pipeline.run.status import status

SHARED = Path(os.environ.get("RELFORGE_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
DRIVER = """
import json, sys
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
run(Job.from_dict(json.load(open(sys.argv[1]))))
"""


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    with ray_session(num_cpus=2):
        yield


def photos() -> tuple[Path, dict[str, object]]:
    """The 58 photos with their boxes."""
    annotations = json.loads((SHARED / "coco/instances_val2017_part.json").read_text())
    there = {path.name for path in (SHARED / "pixels").glob("*.jpg")}
    images = [image for image in annotations["images"] if image["file_name"] in there]
    ids = {image["id"] for image in images}
    boxes = [box for box in annotations["annotations"] if box["image_id"] in ids]
    return SHARED / "pixels", {
        "images": images,
        "annotations": boxes,
        "categories": annotations["categories"],
    }


def generated(folder: Path) -> tuple[Path, dict[str, object]]:
    """Twelve images of noise, each with a man, a dog and a horse."""
    folder.mkdir()
    images, boxes = [], []
    for n in range(12):
        noise = np.random.default_rng(n).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{n}.jpg")
        images.append({"id": n, "file_name": f"{n}.jpg", "width": 80, "height": 60})
        for category in (1, 2, 3):
            box = {"id": 10 * n + category, "image_id": n, "category_id": category, "iscrowd": 0}
            boxes.append(box | {"bbox": [5 * category, 5, 20, 20], "area": 400})
    names = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "horse"}]
    return folder, {"images": images, "annotations": boxes, "categories": names}


def captions(folder: Path) -> list[dict[str, object]]:
    return pq.read_table(sorted((folder / "captions").glob("part-*.parquet"))).to_pylist()


@pytest.mark.usefixtures("ray_here")
@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_and_resumed_run_has_the_captions_of_an_undisturbed_one(
    folder: Path, tmp_path: Path
) -> None:
    real = (SHARED / "pixels").is_dir() and (SHARED / "coco/instances_val2017_part.json").exists()
    images, annotations = photos() if real else generated(tmp_path / "images")
    (tmp_path / "boxes.json").write_text(json.dumps(annotations))

    def job(name: str) -> Job:
        source = {"annotations": str(tmp_path / "boxes.json"), "images": str(images), "split": "val"}
        options = {"model": str(folder), "seed": 3, "rows": 32, "drop": [], "threads": 1}
        stages = (
            StageSpec("caption", "blip", options, Resources(actors=1, num_cpus=0.5)),
            StageSpec("parse", "sng_parser", {}, Resources(num_cpus=0.5)),
            StageSpec("match", "synonyms", {"synonyms": ["coco"]}, Resources(num_cpus=0.5)),
        )
        return Job(
            str(tmp_path / name), "coco", SourceSpec("coco", source), stages, shard_images=6 if real else 2
        )

    undisturbed = run(job("whole"), executor="loop")
    assert undisturbed.outcome == Outcome.COMPLETE

    (tmp_path / "job.json").write_text(json.dumps(job("killed").to_dict()))
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path / "job.json")], env=environment)
    while not (tmp_path / "killed/_state/captions/part-00000.json").exists():
        assert driver.poll() is None, "the driver ended before its first shard"
        time.sleep(0.005)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not status(job("killed").folder).complete

    resumed = run(job("killed"))

    assert resumed.outcome == Outcome.COMPLETE
    assert resumed.dataset_hash == undisturbed.dataset_hash
    found = captions(tmp_path / "killed")
    assert found == captions(tmp_path / "whole")
    assert len(found) == 10 * len(annotations["images"])  # type: ignore[arg-type]
    assert len({row["text"] for row in found}) > len(found) / 4
