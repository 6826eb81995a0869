"""The parse stage under each parser's name, for the stage registry."""

from __future__ import annotations

from typing import Any

from relforge.stages.parse.stage import ParseStage


def sng_parser(**options: Any) -> ParseStage:
    """SceneGraphParser's rules on a spaCy pipeline (`relforge.stages.parse.sng`)."""
    return ParseStage("sng_parser", **options)
