"""Verbs that only read a run folder start quickly: they never import torch or Ray."""

from __future__ import annotations

import subprocess
import sys


def test_reading_verbs_import_neither_torch_nor_ray(finished) -> None:
    code = (
        "import sys; from relforge.cli.app import invoke; run = sys.argv[1];"
        "names = ('status', 'inspect', 'logs', 'quarantine', 'report', 'view');"
        "verbs = [['--help'], *([name, run] for name in names)];"
        "assert not any([invoke(verb) for verb in verbs]);"
        "heavy = {'torch', 'ray', 'spacy', 'transformers'} & set(sys.modules); assert not heavy, heavy"
    )

    done = subprocess.run([sys.executable, "-c", code, str(finished)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_the_reader_of_a_pipe_may_end_early(finished) -> None:
    command = f"{sys.executable} -m relforge inspect {finished} --table boxes --limit 1000 | head -1"

    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)

    assert "Traceback" not in done.stderr


def test_the_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "relforge", "--version"], capture_output=True, text=True)

    assert done.stdout.strip() == "0.1.0"
