"""The zoo: shared code reaches a model by its name alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from relforge.models.family import Family
from relforge.models.zoo import MODELS, family
from relforge.registry import UnknownName

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "models",
    "tagger",
    "stages",
    "data",
    "evaluation",
    "trainer",
    "pipeline",
    "reports",
    "cli",
    "demo",
    "benchmarks",
)


def family_folders() -> set[str]:
    """`relforge.models.rlipv2` and the like: the packages that the zoo's entries are in."""
    return {target.split(":")[0].rpartition(".")[0] for target in MODELS.entries.values()}


@pytest.mark.parametrize("name", list(MODELS))
def test_every_name_has_an_entry_of_that_name(name: str) -> None:
    entry = family(name)
    assert isinstance(entry, Family)
    assert entry.name == name
    assert entry.sizes()


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(UnknownName, match="unknown model 'parsedd'; did you mean 'parsed'"):
        family("parsedd")


def imported_names(path: Path) -> set[str]:
    """The modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_no_file_outside_a_familys_folder_imports_it() -> None:
    folders = {
        folder: ROOT / folder.removeprefix("relforge.").replace(".", "/") for folder in family_folders()
    }
    found = []
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for name in imported_names(path):
                for folder, own in folders.items():
                    if f"{name}.".startswith(f"{folder}.") and own not in path.parents:
                        found.append(f"{path.relative_to(ROOT)} imports {folder}")
    assert found == []
