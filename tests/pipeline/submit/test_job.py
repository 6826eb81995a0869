"""What is sent to a cluster: the package, the config, the environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relforge.pipeline.config import ConfigError
from relforge.pipeline.submit.bundle import absolute, requirements
from relforge.pipeline.submit.client import token_source, use_token
from relforge.pipeline.submit.job import prepare


@pytest.fixture
def config(tmp_path: Path, source) -> Path:
    path = tmp_path / "tiny.yaml"
    values = {
        "dataset": {
            "name": "tiny",
            "split": "train",
            "format": "tiny:TinySource",
            "path": str(source(images=3)),
        },
        "run": {"folder": "runs/tiny"},
        "stages": {"caption": {"backend": "tiny:TinyCaption"}},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_bundle_runs_without_relforge_installed(config, tmp_path) -> None:
    with prepare(str(config), []).runtime_env() as shipped:
        bundle = Path(shipped["working_dir"])
        code = "import relforge, relforge.cli, relforge.kernels.msda.dispatch; print(relforge.__file__)"
        done = subprocess.run([sys.executable, "-c", code], cwd=bundle, capture_output=True, text=True)

        assert done.stdout.strip() == str(bundle / "relforge" / "__init__.py"), done.stderr
        assert not [path for path in bundle.rglob("*") if path.is_symlink()]
        assert {path.name for path in bundle.iterdir()} == {"relforge", "config.yaml"}
    assert not bundle.exists()


def test_relative_paths_are_sent_as_absolute_ones(config, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    submission = prepare(str(config), ["dataset.path=./source.json"])

    assert submission.run_folder == str(tmp_path / "runs" / "tiny")
    assert submission.values["run"]["folder"] == submission.run_folder
    assert submission.values["dataset"]["path"] == str(tmp_path / "source.json")


def test_images_patterns_and_roots_stay_right_in_another_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    given = {
        "annotations": {"val": "a.json"},
        "images": "pics",
        "root": "set [v2]",
        "boxes": "boxes-*.parquet",
        "relations": "s3://bucket/r.parquet",
    }

    found = absolute({"dataset": given | {"image_data": "pics/{split}/{file_name}"}})["dataset"]

    assert found == {
        "annotations": {"val": f"{tmp_path}/a.json"},
        "images": f"{tmp_path}/pics",
        "root": f"{tmp_path}/set [v2]",
        "boxes": f"{tmp_path}/boxes-*.parquet",
        "relations": "s3://bucket/r.parquet",
        "image_data": f"{tmp_path}/pics/{{split}}/{{file_name}}",
    }


def test_a_name_is_never_turned_into_a_path(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("coco.v1", "val.2017"):
        (tmp_path / name).mkdir()
    values = {"dataset": {"name": "coco.v1", "split": "val.2017", "format": "coco"}, "stages": {}}

    assert absolute(values) == values


def test_a_run_folder_on_an_object_store_is_sent_as_it_is(config) -> None:
    assert prepare(str(config), ["run.folder=s3://bucket/run"]).run_folder == "s3://bucket/run"


def test_variables_and_further_fields_of_the_environment(config, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HOME", "/models")
    extra = tmp_path / "env.yaml"
    extra.write_text("pip: [einops]\nenv_vars: {A: '1'}\n")

    sent = prepare(str(config), [], str(extra), ["HF_HOME", "B=2"], install=True).environment

    assert sent["env_vars"] == {"A": "1", "B": "2", "HF_HOME": "/models"}
    assert sent["pip"][0] == "einops"
    assert any(line.startswith("pyarrow") for line in sent["pip"])


def test_the_cluster_keeps_its_own_ray() -> None:
    assert not [line for line in requirements() if line.startswith("ray")]


def test_a_variable_that_is_not_set_here_is_refused(config) -> None:
    with pytest.raises(ConfigError, match="NOT_SET_HERE is not set here"):
        prepare(str(config), [], variables=["NOT_SET_HERE"])


def test_the_token_is_found_where_ray_finds_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    assert token_source() is None

    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert token_source() == str(tmp_path / ".ray" / "auth_token")

    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert "secret" not in str(token_source())


def test_a_mode_the_user_chose_stands(monkeypatch) -> None:
    import os

    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")

    use_token()

    assert os.environ["RAY_AUTH_MODE"] == "disabled"
