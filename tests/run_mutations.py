"""Take away each protection that tests/mutations.md lists, and see that its test fails.

    python tests/run_mutations.py          # all, in a copy of the checkout
    python tests/run_mutations.py 3 7-9    # some

Exit code 1 if a test still passes: the mutation survived.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "tests" / "mutations.md"
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| `(.+?)` \| `(.+?)` \| `(.*?)` \| `(.+?)` \|$", re.MULTILINE)
_SECONDS = 300


@dataclass(frozen=True)
class Mutation:
    """One row of the page.

    Args:
        number, protection: of the row.
        file: from the root of the checkout.
        old, new: text that is replaced, and by what.
        test: node id of the test that has to fail.
    """

    number: int
    protection: str
    file: str
    old: str
    new: str
    test: str


def read_mutations() -> list[Mutation]:
    """The rows of tests/mutations.md."""
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    return [Mutation(int(number), *cells) for number, *cells in rows]


def survives(mutation: Mutation, copy: Path) -> bool:
    """Whether the test passes though the protection is gone. The copy is as before afterwards."""
    file = copy / mutation.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", mutation.test]
    try:
        return subprocess.run(command, cwd=copy, capture_output=True, timeout=_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:  # a test that hangs does not pass
        return False
    finally:
        file.write_text(text, encoding="utf-8")


def chosen(words: Sequence[str]) -> list[Mutation]:
    """All rows, or those of the numbers and ranges given."""
    mutations = read_mutations()
    if not words:
        return mutations
    numbers: set[int] = set()
    for word in words:
        first, _, last = word.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return [one for one in mutations if one.number in numbers]


def main(words: Sequence[str]) -> int:
    """Run the rows; returns the exit code."""
    survivors = []
    with tempfile.TemporaryDirectory(prefix="relforge-mutations-") as folder:
        copy = Path(folder) / "checkout"
        left_out = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", "*.pyc", ".*_cache")
        shutil.copytree(ROOT, copy, symlinks=True, ignore=left_out)
        for mutation in chosen(words):
            alive = survives(mutation, copy)
            print(
                f"{mutation.number:3} {'SURVIVED' if alive else 'killed'}  {mutation.protection}", flush=True
            )
            survivors += [mutation.number] if alive else []
    print(f"{len(survivors)} survived" + (f": {survivors}" if survivors else ""))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
