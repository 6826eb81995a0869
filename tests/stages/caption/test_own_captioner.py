"""A captioner of the user's own, as docs/adding.md describes it: one file and one entry in a config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from relforge.pipeline.config import ConfigError, Source, check, check_files, resolve
from relforge.pipeline.errors import Outcome
from relforge.pipeline.run.execute import run
from relforge.pipeline.run.job import Job
from tests.fixtures.documented import code_blocks, write_module

COLOURS = {"red": (200, 30, 30), "green": (20, 180, 40), "blue": (10, 20, 220)}
MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeJob:
    """`make_job(threads=4)`: the documented entry over a red, a green and a blue image and one cut short."""
    assert write_module("A captioner", tmp_path).name == "palette.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    images = []
    for number, colour in enumerate(COLOURS.values()):
        Image.new("RGB", (40, 30), colour).save(f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 40, "height": 30})
    Path("3.png").write_bytes(Path("0.png").read_bytes()[:60])
    images.append({"id": 3, "file_name": "3.png", "width": 40, "height": 30})
    annotations = {"images": images, "annotations": [], "categories": []}
    Path("boxes.json").write_text(json.dumps(annotations))
    Path("colours.json").write_text(json.dumps({name: list(colour) for name, colour in COLOURS.items()}))

    def make(**options: Any) -> Job:
        entry = yaml.safe_load(code_blocks("A captioner", "yaml")[0])["stages"]["caption"]
        source = {"name": "colours", "split": "val", "format": "coco"}
        values = {
            "dataset": {**source, "annotations": "boxes.json", "images": "."},
            "run": {"folder": "run", "shard_images": 2, "quarantine_limit": 0.5},
            "stages": {"caption": {**entry, **options}},
        }
        written = Source("own.yaml", values)
        job = resolve(check(written), written)
        check_files(job, written)
        return job

    return make


def captions() -> list[tuple[str, str, str]]:
    rows = pq.read_table(sorted(Path("run/captions").glob("part-*.parquet"))).to_pylist()
    return [(row["image_id"], row["text"], row["source"]) for row in rows]


def test_it_captions_every_image_that_can_be_read(make_job: MakeJob) -> None:
    outcome = run(make_job(), executor="loop").outcome

    assert outcome == Outcome.COMPLETE
    assert captions() == [(str(n), f"a {name} image", "palette") for n, name in enumerate(COLOURS)]
    (aside,) = Path("run/quarantine/caption").glob("*.parquet")
    assert "truncated" in str(pq.ParquetFile(aside).read().to_pylist())


def test_other_threads_redo_nothing_and_another_palette_all(make_job: MakeJob) -> None:
    run(make_job(), executor="loop")
    written = sorted((path, path.stat().st_mtime_ns) for path in Path("run/captions").glob("part-*.parquet"))

    run(make_job(threads=4, device="cpu:0"), executor="loop")
    assert written == sorted((path, path.stat().st_mtime_ns) for path, _ in written)

    Path("pale.json").write_text(json.dumps({"pale": [0, 0, 0]}))
    run(make_job(colours="pale.json"), executor="loop")
    assert {text for _, text, _ in captions()} == {"a pale image"}


def test_a_missing_file_is_refused_when_the_config_is_validated(make_job: MakeJob) -> None:
    with pytest.raises(ConfigError, match=r"stages\.caption\.colours: no such file or folder: absent\.json"):
        make_job(colours="absent.json")


def test_an_option_of_neither_part_is_refused_with_the_options_of_both(make_job: MakeJob) -> None:
    with pytest.raises(ConfigError, match=r"stages\.caption\.color: unknown key.*colours"):
        make_job(color="red")
    with pytest.raises(ConfigError, match="drop: unknown reasons"):
        make_job(drop=["boring"])
