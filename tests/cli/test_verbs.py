"""The table of verbs: one module each, all with `--json` and a help text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import typer

import relforge.cli
from relforge.cli.app import VERBS, build

GROUP = typer.main.get_command(build())
assert isinstance(GROUP, typer.core.TyperGroup)
COMMANDS = GROUP.commands


def test_every_module_with_a_command_is_a_verb_of_its_own_name() -> None:
    modules = {
        path.stem.rstrip("_").replace("_", "-"): path.stem
        for path in Path(relforge.cli.__file__).parent.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "command"
    }

    assert set(VERBS) == set(COMMANDS) == set(modules)
    assert {verb: VERBS.target(verb) for verb in VERBS} == {
        verb: f"relforge.cli.{module}:command" for verb, module in modules.items()
    }


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_prints_json_and_explains_every_option(verb: str) -> None:
    options = {name: one for one in COMMANDS[verb].params for name in one.opts}

    assert "--json" in options
    assert COMMANDS[verb].help
    assert [name for name, one in options.items() if not getattr(one, "help", "")] == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_texts_use_the_word_image(relforge, verb: str) -> None:
    said = relforge(verb, "--help")

    assert (said.code, "picture" in said.out.lower()) == (0, False)


def test_without_a_verb_the_help_is_shown_and_the_fault_named(relforge) -> None:
    said = relforge()
    assert "Commands" in said.out
    assert (said.code, said.err) == (64, "relforge: no verb given (see relforge --help)\n")
