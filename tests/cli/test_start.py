"""Verbs that load no model start quickly: they never import torch or Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from relforge.demo.job import write_job


def test_reading_verbs_import_neither_torch_nor_ray_nor_pandas(finished) -> None:
    code = (
        "import sys; from relforge.cli.app import invoke; run = sys.argv[1];"
        "names = ('status', 'inspect', 'logs', 'quarantine', 'report', 'view');"
        "verbs = [['--help'], *([name, run] for name in names), ['diff', run, run]];"
        "codes = [invoke(verb) for verb in verbs]; assert not any(codes[:-1]);"
        "heavy = {'torch', 'ray', 'spacy', 'transformers', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "import pyarrow; assert pyarrow.table({'a': [1]}).to_pandas()['a'].sum() == 1"
    )

    done = subprocess.run([sys.executable, "-c", code, str(finished)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_checking_a_config_of_models_imports_neither_torch_nor_spacy(tmp_path: Path) -> None:
    config = write_job(tmp_path, 2)
    code = (
        "import sys; from relforge.cli.app import invoke;"
        "assert not any(invoke([verb, sys.argv[1]]) for verb in ('validate', 'plan'));"
        "heavy = {'torch', 'ray', 'spacy', 'transformers'} & set(sys.modules); assert not heavy, heavy"
    )

    done = subprocess.run([sys.executable, "-c", code, str(config)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout


def test_building_any_backend_imports_neither_torch_nor_spacy() -> None:
    code = """
import inspect, sys
from relforge.stages.registry import BACKENDS, SOURCES

given = {"interactions": [["person", "ride", "horse"]]}
for registry in (*BACKENDS.values(), SOURCES):
    for name in registry:
        build = registry.load(name)
        needed = [one for one in inspect.signature(build).parameters.values() if one.default is one.empty]
        options = {one.name: given.get(one.name, "x") for one in needed if one.kind is not one.VAR_KEYWORD}
        try:
            build(**options)
        except (ValueError, OSError):
            pass  # a file that is not there
        heavy = {"torch", "ray", "spacy", "transformers"} & set(sys.modules)
        assert not heavy, (name, heavy)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_the_reader_of_a_pipe_may_end_early(finished) -> None:
    command = f"{sys.executable} -m relforge inspect {finished} --table boxes --limit 1000 | head -1"

    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)

    assert "Traceback" not in done.stderr


def test_the_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "relforge", "--version"], capture_output=True, text=True)

    assert done.stdout.strip() == "0.1.0"
