"""The formats of detections by name, and the conversion between any two of them through the table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from relforge.registry import Registry
from relforge.stages.export.publish import publish

TABLE = "detections"
_FOLDER = "relforge.evaluation.predictions"

READERS = Registry(
    "format of detections",
    {
        TABLE: f"{_FOLDER}.table:read",
        "detections_mat": f"{_FOLDER}.hico_mat:read",
        "detections_json": f"{_FOLDER}.hico_json:read",
        "detections_qpic": f"{_FOLDER}.qpic:read",
        "detections_vcoco": f"{_FOLDER}.vcoco_pickle:read",
    },
    own=False,
)
"""`read(path, **options)` gives the table of docs/formats.md."""

WRITERS = Registry(
    "format of detections",
    {name: target.replace(":read", ":write") for name, target in READERS.entries.items()},
    own=False,
)
"""`write(table, path, **options)` gives what the format cannot hold, reason -> how many."""


def convert_detections(
    source: str, path: str, target: str, out: str, options: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """Read `path` and write `out`, which appears whole or not at all.

    Args:
        source, target: names of `READERS`.
        options: of either side; one that both have goes to both.

    Returns:
        `detections` that were written, and what was left out, by reason.

    Raises:
        ValueError: an unknown format or option, or a file of another form.
        OSError: a file cannot be read or written.
    """
    read, write = READERS.load(source), WRITERS.load(target)
    of_read, of_write = (
        list(inspect.signature(one).parameters)[skipped:] for one, skipped in ((read, 1), (write, 2))
    )
    known = [*dict.fromkeys([*of_read, *of_write])]
    if unknown := [name for name in options if name not in known]:
        choices = f"choose from {', '.join(known)}" if known else "they take none"
        raise ValueError(f"neither {source} nor {target} has an option {unknown[0]}; {choices}")
    table = read(path, **{name: value for name, value in options.items() if name in of_read})
    with publish(out) as partial:
        left_out = write(table, partial, **{k: value for k, value in options.items() if k in of_write})
    count = table.num_rows - sum(left_out.values())
    return {"detections": count}, {reason: number for reason, number in left_out.items() if number}
