"""The one look-up behind every choice by name, and its one error sentence."""

from __future__ import annotations

import pytest

from relforge.nearest import find_nearest
from relforge.registry import Registry, UnknownName
from relforge.stages.registry import build, build_source

PARSERS = Registry("parser", {"rules": "json:loads", "learned": "json:dumps"})


def test_a_name_loads_what_its_entry_says_and_nothing_else() -> None:
    import json

    assert PARSERS.load("rules") is json.loads
    assert "rules" in PARSERS
    assert "json:loads" not in PARSERS
    assert sorted(PARSERS) == ["learned", "rules"]


def test_code_of_the_users_own_is_named_by_module_and_attribute() -> None:
    from pathlib import PurePath

    assert PARSERS.load("pathlib:PurePath") is PurePath


@pytest.mark.parametrize(
    ("registry", "sentence"),
    [
        (PARSERS, "unknown parser 'ruels'; did you mean 'rules'? choose one of learned, rules, "
                  "or give package.module:Name"),
        (Registry("parser", PARSERS.entries, own=False),
         "unknown parser 'ruels'; did you mean 'rules'? choose one of learned, rules"),
        (Registry("parser", {}), "unknown parser 'ruels'; give package.module:Name"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_one_sentence(registry: Registry, sentence: str) -> None:
    with pytest.raises(UnknownName) as error:
        registry.load("ruels")
    assert str(error.value) == sentence


def test_where_own_code_is_not_accepted_it_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="unknown parser 'json:loads'"):
        Registry("parser", {"rules": "json:loads"}, own=False).load("json:loads")


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("rules", False),
        ("ruels", False),
        ("json:loads", True),
        ("relforge.stages.tag.rule:RuleTagger", False),
        ("relforge_of_others:Tagger", True),
    ],
)
def test_foreign_is_what_does_not_come_with_relforge(name: str, foreign: bool) -> None:
    assert PARSERS.is_foreign(name) is foreign


def test_stages_and_sources_use_it() -> None:
    with pytest.raises(UnknownName, match=r"unknown tag backend 'rle'; did you mean 'rule'\?"):
        build("tag", "rle")
    with pytest.raises(UnknownName, match=r"unknown dataset format 'cocoo'; did you mean 'coco'\?"):
        build_source("cocoo")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("learning_rte", "learning_rate"),
        ("lr", "learning_rate"),
        ("wd", "weight_decay"),
        ("grad_clip", "max_gradient_norm"),
        ("bs", "size"),
        ("mgn", "max_gradient_norm"),
        ("decay", "weight_decay"),
        ("frobnicate", None),
    ],
)
def test_the_nearest_name_is_a_slip_another_tools_word_or_an_abbreviation(written, meant) -> None:
    names = ["size", "learning_rate", "backbone_learning_rate", "weight_decay", "max_gradient_norm"]

    assert find_nearest(written, names) == meant
