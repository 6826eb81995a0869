"""The parse stage under each parser's name, for the stage registry.

Options are spelled out, so that a misspelt one is named before a run. Those on how predicates are worded
are `policy.PredicatePolicy`'s and belong to every parser.
"""

from __future__ import annotations

from collections.abc import Sequence

from relforge.stages.parse.pipelines import EMBEDDED
from relforge.stages.parse.stage import ParseStage


def relforge(
    model: str = "",
    lower_spans: bool = False,
    predicate_form: str = "surface",
    prepositions: str = "kept",
    stop_predicates: Sequence[str] = (),
    least_confidence: float = 0.0,
) -> ParseStage:
    """The learned parser this package ships (`relforge.stages.parse.learned`); `model`: a folder instead."""
    return ParseStage(
        "relforge",
        lower_spans=lower_spans,
        predicate_form=predicate_form,
        prepositions=prepositions,
        stop_predicates=stop_predicates,
        least_confidence=least_confidence,
        model=model,
    )


def sng_parser(
    pipeline: str = EMBEDDED,
    lower_spans: bool = False,
    predicate_form: str = "surface",
    prepositions: str = "kept",
    stop_predicates: Sequence[str] = (),
) -> ParseStage:
    """SceneGraphParser's rules on a spaCy pipeline (`relforge.stages.parse.sng`)."""
    return ParseStage(
        "sng_parser",
        lower_spans=lower_spans,
        predicate_form=predicate_form,
        prepositions=prepositions,
        stop_predicates=stop_predicates,
        pipeline=pipeline,
    )


def flan_t5(
    model: str,
    batch: int = 64,
    longest: int = 200,
    device: str = "cpu",
    lower_spans: bool = False,
    predicate_form: str = "surface",
    prepositions: str = "kept",
    stop_predicates: Sequence[str] = (),
) -> ParseStage:
    """FACTUAL's Flan-T5 models (`relforge.stages.parse.flan`)."""
    return ParseStage(
        "flan_t5",
        lower_spans=lower_spans,
        predicate_form=predicate_form,
        prepositions=prepositions,
        stop_predicates=stop_predicates,
        model=model,
        batch=batch,
        longest=longest,
        device=device,
    )
