"""The parse stage under each parser's name, for the stage registry.

Options are spelled out, so that a misspelt one is named before a run.
"""

from __future__ import annotations

from relforge.stages.parse.pipelines import EMBEDDED
from relforge.stages.parse.stage import ParseStage


def sng_parser(pipeline: str = EMBEDDED, lower_spans: bool = False) -> ParseStage:
    """SceneGraphParser's rules on a spaCy pipeline (`relforge.stages.parse.sng`)."""
    return ParseStage("sng_parser", lower_spans=lower_spans, pipeline=pipeline)
