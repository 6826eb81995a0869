"""The package SceneGraphParser: whether the right one is installed, and its word lists."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution

_FIX = "run `pip uninstall -y sng-parser && pip install --force-reinstall SceneGraphParser==0.1.0`"


class SceneGraphParserMissing(ImportError):
    """The rules cannot be imported, or another package sits in their place."""


def check_distribution() -> None:
    """Refuse the wrong owner of the module name `sng_parser`.

    The rules are distributed as `SceneGraphParser`. A distribution *named* `sng-parser` owns the
    same module name but reads the song files of a rhythm game.

    Raises:
        SceneGraphParserMissing: the wrong one is there, or the right one is not.
    """
    try:
        wrong = distribution("sng-parser")
    except PackageNotFoundError:
        pass
    else:
        raise SceneGraphParserMissing(
            f"distribution 'sng-parser' {wrong.version} is installed: it reads rhythm-game song files and "
            f"overwrites the module of 'SceneGraphParser', the scene graph parser; {_FIX}"
        )
    try:
        distribution("SceneGraphParser")
    except PackageNotFoundError:
        raise SceneGraphParserMissing(
            "distribution 'SceneGraphParser' (module sng_parser) is not installed; "
            "run `pip install SceneGraphParser==0.1.0`"
        ) from None


def word_tests() -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """Whether a phrase is on the package's lists of phrasal verbs and of phrasal prepositions."""
    check_distribution()
    from sng_parser import database

    return database.is_phrasal_verb, database.is_phrasal_prep
