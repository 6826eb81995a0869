"""Tokens and keys of a config: nothing prints, stores or sends them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge import redaction
from relforge.cli.output import print_json, print_line, print_table
from relforge.pipeline.config import ConfigError, load
from relforge.pipeline.config.secrets import looks_secret
from relforge.pipeline.run.plan import load_plan
from relforge.pipeline.store.run_folder import RunFolder
from relforge.pipeline.submit.job import prepare

SECRET = 'v3ry-s3cret"value'
CODE = """
from tiny import TinyCaption

class Keyed(TinyCaption):
    def __init__(self, api_key: str, fail: bool = False) -> None:
        super().__init__()
        self.api_key, self.fail = api_key, fail

    def process(self, tables):
        if self.fail:
            raise ValueError(f"401 for {self.api_key}")
        return super().process(tables)
"""


@pytest.fixture
def keyed(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny job, whose caption stage takes its key from CAPTION_SERVER."""
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setenv("CAPTION_SERVER", SECRET)
    (config.parent / "keyed.py").write_text(CODE)
    monkeypatch.syspath_prepend(config.parent)
    change(config, "${CAPTION_SERVER}")
    return config


def change(config: Path, key: str, **more: Any) -> None:
    values = yaml.safe_load(config.read_text())
    values["stages"]["caption"] = {"backend": "keyed:Keyed", "api_key": key, **more}
    config.write_text(yaml.safe_dump(values))


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_run_folder_holds_the_reference_alone_and_its_owner_reads_it(relforge, keyed: Path) -> None:
    said = relforge("run", keyed, "--executor", "loop")

    run = keyed.parent / "run"
    assert said.code == 0, said.err
    assert SECRET.split('"')[0].encode() not in everything_in(run)
    job = json.loads((run / "run.json").read_text())["job"]
    assert next(one for one in job["stages"] if one["name"] == "caption")["options"]["api_key"] == (
        "${CAPTION_SERVER}"
    )
    assert job["config"]["stages"]["caption"]["api_key"] == "${CAPTION_SERVER}"
    assert stat.S_IMODE(os.stat(run / "run.json").st_mode) == 0o600


def test_a_new_value_of_the_secret_redoes_nothing_and_is_not_printed(
    relforge, keyed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relforge("run", keyed, "--executor", "loop")
    monkeypatch.setenv("CAPTION_SERVER", "another-s3cret")

    said = relforge("run", keyed, "--executor", "loop")

    assert "everything is done already" in said.out
    assert "s3cret" not in said.out + said.err
    assert "api_key" not in said.out + said.err


def test_whatever_is_printed_hides_it(keyed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(str(keyed))

    print_line(f"401 for {SECRET}")
    print_table(["error"], [[f"401 for {SECRET}"]])
    print_json({"error": f"401 for {SECRET}"})

    said = capsys.readouterr().out
    assert "v3ry" not in said
    assert said.count("(hidden)") == 3


def test_a_failure_shows_neither_on_the_terminal_nor_in_its_record(relforge, keyed: Path) -> None:
    change(keyed, "${CAPTION_SERVER}", fail=True)

    said = relforge("run", keyed, "--executor", "loop")
    logs = relforge("logs", keyed.parent / "run", "--failed", "--json")

    assert said.code == 3
    assert "401 for (hidden)" in said.out + said.err
    assert "401 for (hidden)" in logs.out
    assert SECRET.split('"')[0].encode() not in everything_in(keyed.parent / "run")
    assert SECRET.split('"')[0] not in said.out + said.err + logs.out


def test_rerun_takes_it_from_the_environment_again(
    relforge, keyed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relforge("run", keyed, "--executor", "loop")
    run = keyed.parent / "run"
    words = ["rerun", run, "--stage", "caption", "--allow-code", "--executor", "loop"]

    again = relforge(*words)
    monkeypatch.delenv("CAPTION_SERVER")
    without = relforge(*words)

    assert again.code == 0, again.err
    assert load_plan(RunFolder(str(run))).job.stage("caption").options["api_key"] == "${CAPTION_SERVER}"
    assert without.code == 64
    assert (
        "stages.caption.api_key of this run is taken from environment variable CAPTION_SERVER" in without.err
    )


def test_one_that_the_config_holds_itself_is_stored_nowhere_and_rerun_says_so(relforge, keyed: Path) -> None:
    change(keyed, "written-out-secret")

    assert relforge("run", keyed, "--executor", "loop").code == 0
    said = relforge("rerun", keyed.parent / "run", "--stage", "caption", "--allow-code", "--executor", "loop")

    assert b"written-out-secret" not in everything_in(keyed.parent / "run")
    assert said.code == 64
    assert "write it as ${NAME} in the config" in said.err


@pytest.mark.parametrize(
    "override",
    ["dataset.path=https://user:pa55word@host/a.json", "run.folder=s3://key:pa55word@bucket/run"],
)
def test_a_password_in_a_uri_is_refused_without_being_shown(relforge, keyed: Path, override: str) -> None:
    said = relforge("run", keyed, override)

    assert said.code == 64
    assert override.split("=")[0] in said.err
    assert "inside a URI" in said.err
    assert "pa55word" not in said.err


def test_a_ray_job_is_sent_the_reference(keyed: Path) -> None:
    submission = prepare(str(keyed), [])

    assert submission.values["stages"]["caption"]["api_key"] == "${CAPTION_SERVER}"
    with submission.runtime_env() as shipped:
        assert SECRET.split('"')[0] not in (Path(shipped["working_dir"]) / "config.yaml").read_text()


def test_a_ray_job_is_sent_no_secret_that_its_dashboard_would_show(
    keyed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)

    with pytest.raises(ConfigError, match="--env HF_TOKEN: Ray shows the variables of a job"):
        prepare(str(keyed), [], variables=["HF_TOKEN"])
    sent = prepare(str(keyed), [], variables=["HF_TOKEN", "LEVEL=3"], visible_secrets=True)
    change(keyed, "written-out-secret")
    with pytest.raises(ConfigError, match=r"stages\.caption\.api_key: is a secret"):
        prepare(str(keyed), [])

    assert sent.environment["env_vars"] == {"HF_TOKEN": SECRET, "LEVEL": "3"}


@pytest.mark.parametrize("name", ["token", "api_key", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "userPassword"])
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["tokenizer", "max_tokens", "monkey", "keyboard", "COCO_IMAGES", "keys"])
def test_names_of_other_things(name: str) -> None:
    assert not looks_secret(name)
