"""Whether a complete run has a result at all, and which stage left nothing, from the accounts alone."""

from __future__ import annotations

from collections import Counter

from relforge.pipeline.run.job import INGEST
from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.run.sums import read_losses
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.counts import DROPPED, QUARANTINED, ROWS_IN, ROWS_OUT, WITHOUT_RELATION, pick

_RESULTS = ("images", "captions", "triplets", "candidates", "grounded", "proposed", "scores", "relations")
"""A run is empty when one of these that it writes has no row."""
_CAUSES = (*_RESULTS, "boxes")
"""A table without rows that explains why those after it have none."""

_NO_CLASS = "give more synonyms for the dataset's classes in stages.match.synonyms"
_HINTS = {
    "no_caption": "check that the caption files name these images, by id or file name",
    "neither_names_a_class": _NO_CLASS,
    "subject_names_no_class": _NO_CLASS,
    "object_names_no_class": _NO_CLASS,
    "improbable_pair": "lower stages.ground.floor",
    "nothing_proposed": "lower stages.propose.threshold",
    "below_floor": "lower stages.tag.floor",
    "below_threshold": "lower stages.select.threshold",
}


def find_warnings(survey: Survey) -> list[str]:
    """What the user of a complete run needs to be told: one sentence each."""
    if not survey.complete:
        return []
    empty = find_emptiness(survey)
    return [empty] if empty else _uncaptioned(survey)


def find_refusal(survey: Survey) -> str | None:
    """The sentence with which a complete run without a result fails, where the job requires a result."""
    if survey.plan.job.limits.on_empty != "fail" or not survey.complete:
        return None
    empty = find_emptiness(survey)
    return f"{empty}; run.on_empty is fail" if empty else None


def find_emptiness(survey: Survey) -> str | None:
    """One sentence that names the first stage where everything went and its commonest reason; None for a
    run that has a result."""
    rows = {
        table: survey.counts(step, table)[ROWS_OUT]
        for step in survey.plan.steps
        for table in step.outputs
        if table in _CAUSES
    }
    if not any(table in _RESULTS and not count for table, count in rows.items()):
        return None
    step, table = next((s, t) for s in survey.plan.steps for t in s.outputs if rows.get(t, 1) == 0)
    return f"the result is empty: {_cause(step, table, survey.counts(step, table))}"


def _cause(step: StagePlan, table: str, counts: Counter[str]) -> str:
    read, primary = counts[ROWS_IN], step.inputs[0] if step.inputs else f"records of {table}"
    reasons: Counter[str] = Counter()
    if step.name == INGEST:
        losses = read_losses(step, counts)
        if table in losses:
            read, reasons = losses[table].read, losses[table].lost
        if not read:
            return (
                f"stage {step.name!r} found no {table} in the source; check the dataset's files and options"
            )
    else:
        reasons.update(pick(counts, DROPPED))
        reasons.update(pick(counts, QUARANTINED))
        # the captions that a parser read and found no relation in: they count as kept
        if counts[WITHOUT_RELATION]:
            reasons[WITHOUT_RELATION] += counts[WITHOUT_RELATION]
    what = f"stage {step.name!r} gave no {table} from {read:,} {primary}"
    if not reasons:
        return f"{what}, without a reason"
    reason, count = max(reasons.items(), key=lambda item: (item[1], item[0]))
    hint = f"; {_HINTS[reason]}" if reason in _HINTS else ""
    return f"{what}; the commonest reason is {reason} ({count:,}){hint}"


def _uncaptioned(survey: Survey) -> list[str]:
    """A caption file may cover a part of the images only, so that is no loss; but it may not be meant."""
    limit = survey.plan.job.limits.lost_rate("captions")
    found = []
    for step in survey.plan.steps:
        read, missing = survey.sums(step).rows_in, survey.sums(step).dropped["no_caption"]
        if read and missing / read > limit:
            found.append(
                f"stage {step.name!r} found no caption for {missing:,} of {read:,} images "
                f"({missing / read:.1%}), so they have no relations; {_HINTS['no_caption']}"
            )
    return found
