"""What the stages of a run were answered by models they pay for: stored, and really spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relforge.pipeline.run.survey import Survey
from relforge.pipeline.store.counts import ANSWERS, TOKENS, pick
from relforge.pipeline.store.run_folder import RunFolder
from relforge.stages.answers.table import answers_name
from relforge.vlm.budget import Spent, read_price, read_spent

COLUMNS = ("answers of", "stored", "tokens in", "tokens out", "worth", "spent: requests", "retries", "cost")


@dataclass(frozen=True)
class Answered:
    """Of one stage.

    Args:
        stage: its name.
        verdicts: verdict -> answers, of its done shards.
        input_tokens, output_tokens: of these answers, as the server counted them.
        worth: of these tokens at the price of the config; 0 without one.
        spent: on the stage in this run folder, by all attempts of all workers: less than it is worth where
            answers were kept, more where shards were redone or requests made again.
    """

    stage: str
    verdicts: dict[str, int]
    input_tokens: int
    output_tokens: int
    worth: float
    spent: Spent


def list_answered(folder: RunFolder, survey: Survey) -> list[Answered]:
    """The stages that ask, in order; none in most runs."""
    steps = [step for step in survey.plan.steps if answers_name(step.name) in step.outputs]
    spent = read_spent(folder.uri) if steps else {}
    found = []
    for step in steps:
        counts = survey.counts(step)
        verdicts, tokens = pick(counts, ANSWERS), pick(counts, TOKENS)
        price = read_price(survey.plan.job.stage(step.name).options.get("price"))
        given = tokens["input"], tokens["output"]
        of_stage = spent.get(step.name, Spent())
        found.append(
            Answered(step.name, dict(sorted(verdicts.items())), *given, price.cost(*given), of_stage)
        )
    return found


def answered_rows(found: Sequence[Answered]) -> list[tuple[str, ...]]:
    """One row a stage, under `COLUMNS`."""
    return [
        (
            one.stage,
            f"{sum(one.verdicts.values()):,}",
            f"{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            f"{one.worth:,.4g}",
            f"{one.spent.requests:,}",
            f"{one.spent.retries:,}",
            f"{one.spent.cost:,.4g}",
        )
        for one in found
    ]
