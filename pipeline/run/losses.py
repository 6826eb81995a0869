"""How much of its input a stage lost, by kind, and whether that is more than the job allows.

A stage's records are of different weight: an image that is lost takes its boxes along. So losses are counted
by kind (images, boxes, captions, relations), whatever became of the record, and each kind has a limit. A loss
is input that cannot be used; what a rule leaves out (`below_threshold`, `no_caption`, ...) is none.
"""

from __future__ import annotations

import json

import pyarrow.compute as pc

from relforge.pipeline.errors import RunError
from relforge.pipeline.run.job import Limits
from relforge.pipeline.run.stage_plan import StagePlan
from relforge.pipeline.run.sums import Losses
from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.counts import KINDS, ORDER
from relforge.pipeline.store.quarantine import read_quarantine
from relforge.pipeline.store.run_folder import RunFolder

MIN_READ = 1000
"""So much of a kind a stage must have read before its losses may stop a run half-way."""

_OPTIONS = {kind: f"run.lost_{kind}_limit" for kind in KINDS}
_EXAMPLE_LENGTH = 200


class TooMuchLost(RunError):
    """A stage loses more of its input than the limit allows."""


def check_losses(
    folder: RunFolder, step: StagePlan, losses: Losses, limits: Limits, min_read: int = 0
) -> None:
    """TooMuchLost when the share of a kind is above the job's limit.

    Args:
        folder: where an example is looked up.
        min_read: kinds of which less was read are not checked yet.
    """
    for kind in sorted(losses, key=ORDER.index):
        loss = losses[kind]
        limit = limits.lost_rate(kind)
        if loss.read < min_read or loss.rate <= limit:
            continue
        reason, count = max(loss.lost.items(), key=lambda item: (item[1], item[0]))
        example = find_example(folder, step.name, reason)
        raise TooMuchLost(
            f"stage {step.name!r} lost {loss.lost.total():,} of {loss.read:,} {kind} ({loss.rate:.1%}), "
            f"the limit is {limit:.1%}; the commonest reason is {reason} ({count:,})"
            + (f", e.g. {example}" if example else "")
            + "; look at them with `relforge quarantine`, correct the input or raise "
            + _OPTIONS.get(kind, "run.quarantine_limit")
        )


def find_excess(folder: RunFolder, survey: Survey) -> str | None:
    """The sentence with which a run on this folder stops, if too much of its input is lost already."""
    min_read = 0 if survey.complete else MIN_READ
    for step in survey.plan.steps:
        try:
            check_losses(folder, step, survey.sums(step).losses, survey.plan.job.limits, min_read)
        except TooMuchLost as error:
            return str(error)
    return None


def find_example(folder: RunFolder, stage: str, reason: str) -> str | None:
    """The first record that a stage set aside for that reason, in words."""
    place = f"quarantine/{stage}"
    for file in sorted(folder.storage.listing(place)):
        try:
            rows = read_quarantine(folder, f"{place}/{file}")
        except (FileNotFoundError, RunError):  # replaced just now, or damaged, which the survey reports
            continue
        for row in rows.filter(pc.field("reason") == reason).slice(0, 1).to_pylist():
            text = row["detail"] or _identity(row["record"])
            return text if len(text) <= _EXAMPLE_LENGTH else f"{text[:_EXAMPLE_LENGTH]}..."
    return None


def _identity(record: str) -> str:
    """`{"image_id": "7", "box_id": 1}` -> `image_id 7, box_id 1`."""
    return ", ".join(f"{name} {value}" for name, value in sorted(json.loads(record).items(), reverse=True))
