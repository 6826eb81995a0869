"""`module:NAME` is called only where it is what its place takes; a run folder names none unasked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from relforge.cli.app import invoke
from relforge.contracts import WrongKind
from relforge.evaluation.evaluator import EVALUATORS
from relforge.registry import Registry
from relforge.stages.export.targets import TARGETS, export
from relforge.stages.registry import BACKENDS, SOURCES, build, build_source
from tests.fixtures.run_fixtures import source

__all__ = ["source"]

OWN = """
from pathlib import Path

Path(__file__).with_name("imported").touch()


class Stage:
    name, version, inputs, outputs = "parse", 1, ("captions",), ("triplets",)

    def __init__(self, **options):
        Path(__file__).with_name("called").touch()

    def files(self): return ()
    def setup(self): ...
    def process(self, tables): ...


def make(**options) -> Stage:
    return Stage(**options)


def silent(**options):
    return Stage(**options)


def lying(**options) -> "Nowhere":
    return Stage(**options)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a module `own_code` that leaves a file when it is imported, and one when it is called."""
    (tmp_path / "own_code.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("own_code", None)


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "shutil:rmtree", "builtins:exec", "os:environ"]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda name: build("parse", name),
        lambda name: build("stage_of_mine", name),
        lambda name: build_source(name),
        lambda name: EVALUATORS.load(name),
        lambda name: export(name, iter(()), "never"),
    ],
    ids=["backend", "stage", "dataset", "evaluator", "export"],
)  # fmt: skip
def test_what_is_something_else_is_refused_and_not_called(call: Callable[[str], Any], name: str) -> None:
    with pytest.raises(WrongKind, match=f"'{name}' is no .* and was not called"):
        call(name)


@pytest.mark.parametrize("name", ["silent", "lying", "Path"])
def test_what_does_not_say_that_it_builds_a_stage_is_not_called(own: Path, name: str) -> None:
    with pytest.raises(WrongKind, match="a function whose return annotation is one"):
        build("parse", f"own_code:{name}")
    assert not (own / "called").exists()


@pytest.mark.parametrize("name", ["Stage", "make"])
def test_a_stage_and_a_function_that_states_one_are_built(own: Path, name: str) -> None:
    build("parse", f"own_code:{name}")
    assert (own / "called").exists()


@pytest.mark.parametrize("registry", [*BACKENDS.values(), SOURCES, TARGETS, EVALUATORS], ids=lambda r: r.kind)
def test_every_part_of_relforge_satisfies_its_own_contract(registry: Registry) -> None:
    assert registry.contract is not None
    for name in registry:
        registry.contract.check(registry.kind, name, registry.load(name))


def write_config(folder: Path, source: Path, **parse: Any) -> Path:
    values = {
        "dataset": {"name": "tiny", "split": "train", "format": "rlipv2", "annotations": str(source)},
        "run": {"folder": str(folder / "run")},
        "stages": {"parse": {"backend": "sng_parser", **parse}},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_config_with_os_system_is_one_sentence(
    tmp_path: Path, source: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, source(images=1), backend="os:system", command="touch called")

    assert invoke(["run", str(config)]) == 64

    said = capsys.readouterr().err
    assert "stages.parse.backend: 'os:system' is no parse backend and was not called" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_validate_imports_nothing_foreign_without_the_flag(
    own: Path, source: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(own, source(images=1), backend="own_code:Stage")

    assert invoke(["validate", str(config)]) == 64

    assert "stages.parse.backend: 'own_code:Stage' is code that does not come with" in capsys.readouterr().err
    assert not (own / "imported").exists()
    invoke(["validate", str(config), "--allow-code"])
    assert (own / "imported").exists()


def change_run(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads((folder / "run.json").read_text())
    change(record["job"])
    (folder / "run.json").write_text(json.dumps(record))


def stage_of(job: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in job["stages"] if one["name"] == name)


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "stages.match.backend": lambda job: stage_of(job, "match").update(backend="own_code:Stage"),
    "dataset.format": lambda job: job["source"].update(adapter="own_code:Stage"),
    "py_executable": lambda job: stage_of(job, "match")["resources"].update(py_executable="/bin/false"),
    "runtime_env": lambda job: stage_of(job, "match")["resources"].update(runtime_env={"pip": ["x"]}),
}


@pytest.fixture
def own_run(own: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A finished run of relforge's own parts."""
    (own / "coco.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "1.jpg", "width": 90, "height": 90}],
                "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}],
                "annotations": [
                    {"id": i, "image_id": 1, "category_id": i, "bbox": [i, i, 30, 30]} for i in (1, 2)
                ],
            }
        )
    )
    (own / "captions.json").write_text(
        json.dumps({"annotations": [{"id": 1, "image_id": 1, "caption": "a person riding a horse"}]})
    )
    values = {
        "dataset": {"name": "t", "split": "t", "format": "coco", "annotations": str(own / "coco.json")},
        "run": {"folder": str(own / "run")},
        "stages": {
            "caption": {"backend": "oracle", "files": str(own / "captions.json")},
            "parse": {"backend": "sng_parser"},
            "match": {"backend": "synonyms"},
        },
    }
    (own / "job.yaml").write_text(yaml.safe_dump(values))
    assert invoke(["run", str(own / "job.yaml"), "--executor", "loop"]) == 0, capsys.readouterr().err
    return own / "run"


@pytest.mark.parametrize("field", CHANGES)
def test_rerun_refuses_foreign_code_that_a_run_folder_names(
    own_run: Path, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    change_run(own_run, CHANGES[field])

    assert invoke(["rerun", str(own_run), "--stage", "match", "--executor", "loop"]) == 64

    said = capsys.readouterr().err
    assert field in said
    assert "add --allow-code" in said
    assert not (own_run.parent / "imported").exists()


@pytest.mark.parametrize("verb", ["status", "report", "inspect", "logs", "quarantine", "view", "synonyms"])
@pytest.mark.parametrize("field", ["stages.match.backend", "dataset.format"])
def test_no_verb_that_shows_a_run_imports_what_it_names(own_run: Path, verb: str, field: str) -> None:
    change_run(own_run, CHANGES[field])

    invoke([verb, str(own_run)])

    assert not (own_run.parent / "imported").exists()


def test_rerun_of_relforges_own_parts_needs_no_flag(own_run: Path) -> None:
    assert invoke(["rerun", str(own_run), "--stage", "match", "--executor", "loop"]) == 0
