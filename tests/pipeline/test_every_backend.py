"""What holds for every backend that relforge ships, whichever stage it belongs to."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from relforge.cli.app import invoke
from relforge.pipeline.config import ConfigError, Source, check_files
from relforge.pipeline.config.options import parameters
from relforge.pipeline.run.job import Job, SourceSpec, StageSpec
from relforge.pipeline.store.fingerprint import stage_key
from relforge.stages.contract import neutral_options
from relforge.stages.registry import BACKENDS, build
from relforge.vlm.options import VlmOptions

NEUTRAL = {
    "device",
    "threads",
    "batch_size",
    "decoder_batches",
    "cache",
    "graphs",
    *VlmOptions.neutral_options,
}
"""Options for where and in which portions the work is done. What can change bits (dtype, the number of
captions decoded together) is not among them."""
NOT_NEUTRAL = {"similarity": {"batch_size"}, "caption": {"graphs"}}
"""Portions that are always full, so that their size alone decides the last bits; another last bit is another
caption."""
REQUIRED: dict[str, Any] = {"model": "no/model", "files": "captions.json", "first_round": "no/run"}
"""Values for options without a default; nothing is read when a stage is built."""
CASES = [(stage, backend) for stage, registry in BACKENDS.items() for backend in registry]


def options_of(stage: str, backend: str) -> dict[str, Any]:
    """Every option of a backend with its default."""
    target = BACKENDS[stage].load(backend)
    declared = inspect.signature(target).parameters
    return {
        name: REQUIRED[name] if declared[name].default is inspect.Parameter.empty else declared[name].default
        for name in parameters(target)[0]
    }


@pytest.mark.parametrize(("stage", "backend"), CASES)
def test_an_option_changes_the_key_unless_it_is_neutral(stage: str, backend: str) -> None:
    options = options_of(stage, backend)
    built = build(stage, backend, **options)

    def key(**changed: Any) -> str:
        values = {**options, **changed}
        return stage_key(stage, built.version, backend, values, {}, neutral_options(built))

    without_effect = {name for name in options if key(**{name: "another value"}) == key()}
    assert without_effect == set(options) & NEUTRAL - NOT_NEUTRAL.get(stage, set())


@pytest.mark.parametrize("model", ["/nowhere/model", "nobody/has-such-a-model"])
@pytest.mark.parametrize(("stage", "backend"), [case for case in CASES if "model" in options_of(*case)])
def test_a_missing_model_is_refused_before_anything_runs(
    tmp_path: Path, stage: str, backend: str, model: str
) -> None:
    (tmp_path / "source.json").write_text('{"images": 1}')
    job = Job(
        str(tmp_path / "run"),
        "tiny",
        SourceSpec("tiny:TinySource", {"path": str(tmp_path / "source.json")}),
        (StageSpec(stage, backend, {**options_of(stage, backend), "model": model}),),
    )

    with pytest.raises(ConfigError) as error:
        check_files(job, Source("job.yaml", {}, {f"stages.{stage}.model": "MODEL"}))

    sentence = str(error.value)
    assert sentence.startswith(f"job.yaml: stages.{stage}.model: ")
    assert model in sentence
    assert sentence.endswith(f"set MODEL or pass stages.{stage}.model=...")
    assert "\n" not in sentence


def test_validate_and_run_refuse_a_missing_model_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source.json").write_text('{"images": 1}')
    config = tmp_path / "job.yaml"
    config.write_text(
        f"dataset: {{name: tiny, split: train, format: 'tiny:TinySource', path: {tmp_path}/source.json}}\n"
        f"run: {{folder: {tmp_path}/run}}\n"
        "stages: {caption: {backend: blip, model: nobody/has-such-a-model}}\n"
    )

    for verb, *flags in (["validate", "--allow-code"], ["plan"], ["run"]):
        assert invoke([verb, str(config), *flags]) == 64
        sentence = capsys.readouterr().err
        assert "stages.caption.model: model 'nobody/has-such-a-model' is neither a local path" in sentence
        assert sentence.rstrip().endswith("pass stages.caption.model=...")
    assert not (tmp_path / "run").exists()
