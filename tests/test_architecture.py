"""The rooms of the repository and the arrows between them: an import goes down, never up or in a circle."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ARROWS: dict[str, tuple[str, ...]] = {
    "cli": ("reports", "trainer", "pipeline", "demo"),
    "reports": ("evaluation", "pipeline"),
    "trainer": ("evaluation",),
    "evaluation": ("data",),
    "data": ("stages",),
    "demo": ("stages", "data"),
    "pipeline": ("stages", "kernels"),
    "stages": ("tagger", "vlm"),
    "tagger": ("models",),
    "vlm": ("models",),
    "models": ("images", "kernels"),
    "images": ("kernels",),
    "kernels": (),
}
"""room -> rooms right below it (docs/architecture.md draws them)."""

ENGINE: dict[str, tuple[str, ...]] = {
    "doctor": ("submit",),
    "submit": ("config",),
    "config": ("run", "store"),
    "run": ("store",),
    "store": (),
}
"""part of pipeline/ -> parts that it may import."""

RAY_ROOM = "pipeline"
PLAIN_PACKAGES = {"ray", "spacy", "pydantic", "typer"}
PLAIN_ROOMS = ("kernels", "images", "models", "tagger", "vlm")


def below(room: str) -> set[str]:
    """Every room that `room` may import."""
    found: set[str] = set()
    waiting = list(ARROWS[room])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += ARROWS[one]
    return found


def modules() -> dict[str, Path]:
    """module name, from the root of relforge -> file."""
    found = {}
    for room in ARROWS:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, top_level_only: bool) -> Iterator[str]:
    """Names that a file imports; `relforge.` is cut off, other packages keep their names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: Iterator[ast.AST] = _top_level(tree) if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("relforge.") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}".removeprefix("relforge.")


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: not those inside functions or `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def resolve(name: str, known: dict[str, Path]) -> str | None:
    """The module of ours that an imported name is, or is in."""
    while name:
        if name in known:
            return name
        name = name.rpartition(".")[0]
    return None


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    known = modules()
    allowed = below(room) | {room}
    wrong = [
        f"{module} imports {name}"
        for module, path in known.items()
        if module.split(".")[0] == room
        for name in imports(path, top_level_only=False)
        if name.split(".")[0] in ARROWS and name.split(".")[0] not in allowed and resolve(name, known)
    ]
    assert wrong == []


@pytest.mark.parametrize("part", ENGINE)
def test_a_part_of_the_engine_imports_only_parts_below_it(part: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if module.startswith(f"pipeline.{part}")
        for name in imports(path, top_level_only=False)
        if name.startswith("pipeline.")
        and (other := name.split(".")[1]) in ENGINE
        and other not in (part, *ENGINE[part])
    ]
    assert wrong == []


def test_no_module_imports_itself_in_a_circle() -> None:
    known = modules()
    graph = {
        module: {found for name in imports(path, top_level_only=True) if (found := resolve(name, known))}
        - {module}
        for module, path in known.items()
    }
    # a package's __init__ is run by every import of its modules, which is no circle by itself
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(module: str) -> None:
        state[module] = 1
        trail.append(module)
        for other in sorted(graph[module]):
            if state.get(other) == 1:
                pytest.fail("circle: " + " -> ".join([*trail[trail.index(other) :], other]))
            if other not in state:
                visit(other)
        trail.pop()
        state[module] = 2

    for module in sorted(graph):
        if module not in state:
            visit(module)


def test_only_the_engine_imports_ray() -> None:
    users = [
        module
        for module, path in modules().items()
        for name in imports(path, top_level_only=False)
        if name.split(".")[0] == "ray" and module.split(".")[0] not in (RAY_ROOM, "cli")
    ]
    assert users == []


def test_the_rooms_of_the_gpu_machine_need_neither_ray_nor_spacy_nor_pydantic() -> None:
    users = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if module.split(".")[0] in PLAIN_ROOMS
        for name in imports(path, top_level_only=True)
        if name.split(".")[0] in PLAIN_PACKAGES
    ]
    assert users == []


@pytest.mark.parametrize("part", ["amx", "msda", "native"])
def test_one_kernel_imports_no_other(part: str) -> None:
    allowed = (f"kernels.{part}", "kernels.native", "kernels.self_test")
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if module.startswith(f"kernels.{part}")
        for name in imports(path, top_level_only=False)
        if name.startswith("kernels.") and not name.startswith(allowed)
    ]
    assert wrong == []


def test_kernels_need_nothing_but_torch_and_triton() -> None:
    allowed = {"torch", "triton", "kernels", "__future__"} | sys.stdlib_module_names
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        if module.startswith("kernels.")
        for name in imports(path, top_level_only=False)
        if name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_every_root_folder_is_a_room_or_named_here() -> None:
    others = {"relforge", "configs", "benchmarks", "docs", "tests", "build", "dist", "runs"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert {f for f in folders if not f.endswith(".egg-info")} - others == set(ARROWS)
