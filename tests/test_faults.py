"""docs/faults.md and tests/mutations.md name tests and code that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.run_mutations import read_mutations

ROOT = Path(__file__).resolve().parents[1]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("page", ["docs/faults.md", "tests/mutations.md"])
def test_every_named_test_exists(page: str) -> None:
    named = _TEST.findall((ROOT / page).read_text(encoding="utf-8"))
    absent = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]

    assert len(named) >= 40
    assert absent == []


def test_every_fault_has_a_row() -> None:
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")

    assert [int(number) for number in re.findall(r"^\| F(\d+) \|", page, re.MULTILINE)] == list(range(1, 52))


def test_every_mutation_changes_one_place() -> None:
    mutations = read_mutations()

    assert len(mutations) >= 40
    assert [
        one.number
        for one in mutations
        if (ROOT / one.file).read_text(encoding="utf-8").count(one.old) != 1 or one.old == one.new
    ] == []
