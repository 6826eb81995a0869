"""Quick answers stay quick: verbs that only look never import torch or Ray."""

from __future__ import annotations

import subprocess
import sys


def test_looking_imports_neither_torch_nor_ray(finished) -> None:
    code = (
        "import sys; from relforge.cli.app import invoke; run = sys.argv[1];"
        "verbs = [['--help'], ['status', run], ['inspect', run], ['logs', run], ['quarantine', run]];"
        "assert not any([invoke(verb) for verb in verbs]);"
        "heavy = {'torch', 'ray', 'spacy', 'transformers'} & set(sys.modules); assert not heavy, heavy"
    )

    done = subprocess.run([sys.executable, "-c", code, str(finished)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_the_reader_of_a_pipe_may_leave_early(finished) -> None:
    command = f"{sys.executable} -m relforge inspect {finished} --table boxes --limit 1000 | head -1"

    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)

    assert "Traceback" not in done.stderr


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "relforge", "--version"], capture_output=True, text=True)

    assert done.stdout.strip() == "0.1.0"
