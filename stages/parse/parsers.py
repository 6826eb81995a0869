"""Every parser the user can choose by name, and how to build it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from relforge.stages.parse.graph import Parser

DEFAULT = "relforge"

PARSERS: dict[str, str] = {
    "relforge": "relforge.stages.parse.learned.parser:LearnedParser",
    "sng_parser": "relforge.stages.parse.sng:SngParser",
    "flan_t5": "relforge.stages.parse.flan:FlanParser",
}
"""parser name -> `module:class`; the class takes the parser's options by keyword."""


def build_parser(name: str, **options: Any) -> Parser:
    """Construct (without loading anything) the named parser.

    Args:
        name: a key of `PARSERS`, or `package.module:Class` for a user's own.
        options: keyword arguments of the parser's constructor, as written in the config.

    Raises:
        ValueError: an unknown parser, naming the choices.
    """
    target = PARSERS.get(name, name)
    if ":" not in target:
        choices = ", ".join(sorted(PARSERS))
        raise ValueError(f"unknown parser {name!r}; choose one of {choices}, or give module:Class")
    module, attribute = target.split(":")
    parser: Parser = getattr(import_module(module), attribute)(**options)
    return parser
