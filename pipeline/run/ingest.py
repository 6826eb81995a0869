"""The first step: a source's stream becomes the shards that everything else reads."""

from __future__ import annotations

import time
from collections.abc import Iterator

from relforge.pipeline.errors import BrokenInvariant, StorageError
from relforge.pipeline.run.failure import is_transient, write_failure
from relforge.pipeline.run.job import INGEST
from relforge.pipeline.run.plan import Plan
from relforge.pipeline.run.references import hide_secrets
from relforge.pipeline.run.stopwatch import Stopwatch
from relforge.pipeline.run.survey import expected_fingerprint
from relforge.pipeline.run.worker import COMMITTED, KEPT, ShardReport
from relforge.pipeline.store.commit import CommitContext, commit
from relforge.pipeline.store.run_folder import FAILED, INGEST_MANIFEST, RunFolder
from relforge.stages.contract import StageResult
from relforge.stages.tables import empty


def ingest(plan: Plan, folder: RunFolder, forced: frozenset[int] = frozenset()) -> Iterator[ShardReport]:
    """Read the source once and commit every shard that is not committed yet.

    The stream always starts at the beginning, since that is how the shards are defined; what is done is
    read past and not written again. At the end the manifest records how many shards there are, and shards
    of an earlier, longer ingest are removed.

    Yields:
        one report per shard, as soon as it is committed.

    Raises:
        StageFailed, BrokenInvariant: the source raised or its account did not add up; see `logs/failed`.
        StorageError: the storage refuses writes.
    """
    hide_secrets(plan.job)
    shard, reported = -1, 0
    for left in range(plan.job.limits.retries, -1, -1):
        try:
            watch = Stopwatch()
            for shard, result in enumerate(plan.job.build_source().shards(plan.job.shard_images)):
                report = commit_shard(plan, folder, shard, result, shard in forced, watch)
                watch = Stopwatch()
                if shard >= reported:
                    reported = shard + 1
                    yield report
            break
        except (StorageError, GeneratorExit):
            raise
        except Exception as error:
            if not is_transient(error):
                raise write_failure(folder, INGEST, shard + 1, 1, error) from error
            if not left:
                raise
            time.sleep(1.0)
    shards = shard + 1
    for table in plan.tables:
        folder.delete_shards(table, [index for index in folder.indices(table) if index >= shards])
    for step in plan.steps:
        folder.delete_quarantine(step.name, since=shards)
    for failed in folder.numbers(FAILED, INGEST):
        folder.storage.delete(folder.failed_path(INGEST, failed))
    folder.write_json(INGEST_MANIFEST, {"key": plan.ingest.key, "shards": shards})


def commit_shard(
    plan: Plan, folder: RunFolder, shard: int, result: StageResult, forced: bool, watch: Stopwatch
) -> ShardReport:
    """Commit one shard of the source unless it is there; `watch` runs since the source was asked for it."""
    fingerprint = expected_fingerprint(plan.ingest, shard, {})
    if not forced and folder.committed(plan.ingest.outputs, shard, fingerprint):
        return ShardReport(INGEST, shard, KEPT)
    if "rows_in" not in result.notes:
        raise BrokenInvariant(f"source {plan.job.source.adapter!r} gives no notes['rows_in']; it has to")
    result.tables.setdefault("classes", empty("classes"))  # a source that lists no classes
    rows_in = int(result.notes["rows_in"])
    context = CommitContext(
        INGEST,
        plan.ingest.specs,
        fingerprint,
        {},
        rows_in,
        watch.seconds,
        forced=forced,
        cpu_seconds=watch.cpu_seconds,
    )
    committed, ours = commit(folder, shard, result, context)
    return ShardReport(
        INGEST,
        shard,
        COMMITTED if ours else KEPT,
        rows_in,
        committed[plan.ingest.outputs[0]].rows_out,
        len(result.quarantined),
        watch.seconds,
    )
