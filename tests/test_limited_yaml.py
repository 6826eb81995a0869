"""YAML that would exhaust memory or the stack is refused in one sentence, before its value is built."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from relforge import limited_yaml
from relforge.cli.app import invoke
from relforge.limited_yaml import YamlError, read_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
HOSTILE = {
    "lists in lists": ("x: " + "[" * 20_000 + "]" * 20_000, "more than 100 levels deep"),
    "mappings in mappings": (
        "\n".join(" " * n + f"k{n}:" for n in range(300)),
        "more than 100 levels deep",
    ),
    "aliases of aliases": (LAUGHS, "more than 1,000,000 values, its aliases written out"),
    "an alias of itself": ("x: &x [*x]", "the alias *x stands within what it names"),
    "a number without end": ("x: " + "9" * 10_000, "a value cannot be read"),
    "no date of any calendar": ("x: 2024-13-45", "a value cannot be read"),
}


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(YamlError) as error:
        read_yaml(text)
    assert said in str(error.value)


def test_a_text_beyond_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_yaml, "MAX_CHARACTERS", 5)

    assert read_yaml("a: 12") == {"a": 12}
    with pytest.raises(YamlError, match="6 characters, where at most 5 are read"):
        read_yaml("a: 123")


def test_aliases_that_stay_small_are_read() -> None:
    assert read_yaml("a: &a {b: 1}\nc: [*a, *a]") == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


def test_aliases_are_refused_before_memory_is_taken() -> None:
    tracemalloc.start()
    with pytest.raises(YamlError):
        read_yaml(LAUGHS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 8 << 20


@pytest.mark.parametrize("verb", ["validate", "plan", "run", "train", "submit"])
@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_config_is_one_sentence(
    tmp_path: Path, capsys: Any, verb: str, text: str, said: str
) -> None:
    (tmp_path / "hostile.yaml").write_text(text)

    assert invoke([verb, str(tmp_path / "hostile.yaml")]) == 64

    err = capsys.readouterr().err
    assert err.startswith(f"relforge: {tmp_path / 'hostile.yaml'}: ")
    assert said in err
    assert err.count("\n") == 1
    assert len(err) < 600


def test_a_hostile_override_is_one_sentence(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "job.yaml").write_text("run: {}")

    assert invoke(["run", str(tmp_path / "job.yaml"), "run.seed=" + "[" * 20_000]) == 64

    err = capsys.readouterr().err
    assert "run.seed=" in err
    assert "more than 100 levels deep" in err
    assert len(err) < 300


def test_a_hostile_synonym_table_is_one_sentence(tmp_path: Path) -> None:
    from relforge.stages.match.table_file import TableError, read_table_file

    (tmp_path / "table.yaml").write_text(LAUGHS)
    with pytest.raises(TableError, match="aliases written out"):
        read_table_file(tmp_path / "table.yaml")
