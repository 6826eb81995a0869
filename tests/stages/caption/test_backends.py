"""Every caption backend: options that change no caption redo nothing, a model counts by its content, and a
missing one is refused when the config is validated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relforge.pipeline.config import ConfigError, Source, check, check_files, resolve
from relforge.pipeline.run.job import Job
from relforge.pipeline.run.plan import make_plan
from relforge.stages.contract import Stage
from relforge.stages.registry import BACKENDS, build

MODELS = ("blip", "lavis", "transformers")
GIVEN = ("import", "oracle")
ASKED = ("vlm", "vlm_pairs")
"""Stages of their own (`test_vlm.py`, `test_vlm_pairs.py`)."""
MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """`make_job(backend, **options)`: a validated job whose only stage captions."""
    (tmp_path / "boxes.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))

    def make(backend: str, **options: Any) -> Job:
        source = {"name": "d", "split": "val", "format": "coco", "annotations": str(tmp_path / "boxes.json")}
        values = {
            "dataset": source,
            "run": {"folder": str(tmp_path / "run")},
            "stages": {"caption": {"backend": backend, **options}},
        }
        written = Source("job.yaml", values)
        job = resolve(check(written), written)
        check_files(job, written)
        return job

    return make


def key(job: Job) -> str:
    return make_plan(job).step("caption").key


def test_every_backend_is_covered_here() -> None:
    assert sorted(BACKENDS["caption"]) == sorted((*MODELS, *GIVEN, *ASKED))


@pytest.mark.parametrize("backend", MODELS)
def test_threads_and_device_redo_nothing(backend: str, make_job: MakeJob, folder: Path) -> None:
    before = key(make_job(backend, model=str(folder), threads=2, device="auto"))
    assert key(make_job(backend, model=str(folder), threads=5, device="auto")) == before
    assert key(make_job(backend, model=str(folder), threads=2, device="cpu")) == before
    assert key(make_job(backend, model=str(folder))) == before


@pytest.mark.parametrize(
    ("backend", "options"),
    [(backend, {"captions": 3}) for backend in MODELS]
    + [(backend, {"drop": []}) for backend in MODELS]
    + [(backend, {"dtype": "bfloat16"}) for backend in ("blip", "transformers")]
    # rows are part of torch's GEMMs, and no replay of a GPU was compared bit by bit
    + [("blip", {"rows": 64}), ("blip", {"graphs": True})],
)
def test_whatever_may_change_a_bit_redoes_all(
    backend: str, options: dict[str, Any], make_job: MakeJob, folder: Path
) -> None:
    assert key(make_job(backend, model=str(folder), **options)) != key(make_job(backend, model=str(folder)))


@pytest.mark.parametrize("backend", MODELS)
def test_a_model_on_the_hub_counts_by_its_content(
    backend: str, make_job: MakeJob, folder: Path, hub_model: Callable[[str, Path], Path]
) -> None:
    snapshot = hub_model("someone/captioner", folder)
    before = key(make_job(backend, model="someone/captioner"))
    weights = bytearray((snapshot / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (snapshot / "model.safetensors").write_bytes(weights)
    assert key(make_job(backend, model="someone/captioner")) != before


@pytest.mark.parametrize("backend", MODELS)
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("/nowhere/model", "no such file or folder"),
        ("absent.pth", "no such file or folder"),
        ("Nobody/absent-model", "neither a local path nor on the hub"),
    ],
)
def test_a_missing_model_is_refused_by_validation(
    backend: str, model: str, words: str, make_job: MakeJob
) -> None:
    with pytest.raises(ConfigError, match=rf"stages\.caption\.model: model '{model}'.*{words}"):
        make_job(backend, model=model)


@pytest.mark.parametrize("backend", ["blip", "lavis"])
def test_a_missing_tokenizer_is_refused_by_validation(backend: str, make_job: MakeJob, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'/nowhere/vocab\.txt': no such file or folder"):
        make_job(backend, model=str(folder), tokenizer="/nowhere/vocab.txt")
    with pytest.raises(ConfigError, match="bert-base-uncased"):  # of a file without a tokenizer
        make_job(backend, model=str(folder / "model.safetensors"))


@pytest.mark.parametrize("backend", GIVEN)
def test_a_missing_caption_file_is_refused_by_validation(backend: str, make_job: MakeJob) -> None:
    with pytest.raises(ConfigError, match=r"stages\.caption\.files: no such file or folder"):
        make_job(backend, files="/nowhere/captions.json")


@pytest.mark.parametrize(
    ("backend", "options"), [*((b, {"model": "m"}) for b in MODELS), *((b, {"files": "f"}) for b in GIVEN)]
)
def test_every_backend_is_the_caption_stage(backend: str, options: dict[str, str]) -> None:
    stage = build("caption", backend, **options)
    assert isinstance(stage, Stage)
    assert (stage.name, stage.inputs, stage.outputs) == ("caption", ("images",), ("captions",))
