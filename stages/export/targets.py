"""Every export format the user can choose by name, and the one call that writes any of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from relforge.contracts import Takes
from relforge.registry import Registry
from relforge.stages.export.publish import publish

TARGETS = Registry(
    "export format",
    {
        "coco": "relforge.stages.export.coco:write",
        "fiftyone": "relforge.stages.export.fiftyone:write",
        "hf": "relforge.stages.export.hf:write",
        "hico": "relforge.stages.export.hico:write",
        "image-paths": "relforge.stages.export.image_paths:write",
        "label-studio": "relforge.stages.export.label_studio:write",
        "open-images": "relforge.stages.export.open_images:write",
        "parquet": "relforge.stages.export.parquet:write",
        "rlipv2": "relforge.stages.export.rlipv2:write",
        "vg": "relforge.stages.export.rlipv2:write_visual_genome",
        "vg-preprocessed": "relforge.stages.export.preprocessed:write",
        "vg150": "relforge.stages.export.vg150:write",
    },
    contract=Takes(("tables", "path"), "a function write(tables, path, **options)"),
)
"""What an entry names is called as `write(tables, path, **options)`, and gives the rows it wrote."""

SUFFIXES = dict.fromkeys(("coco", "hico", "image-paths", "rlipv2", "vg", "vg-preprocessed"), ".json")
"""export format -> suffix of its file; the others are folders."""


def export(to: str, tables: Iterator[Mapping[str, pa.Table]], out: str, **options: Any) -> dict[str, int]:
    """Write a relation dataset in another format, a shard at a time.

    `out` appears whole or not at all: it is written beside its place and renamed.

    Args:
        to: a name of `TARGETS`, or `package.module:write`.
        tables: per shard the tables `images`, `boxes` and `relations`; where there is no `relations`
            table, `gold` is written, without scores.
        out: path or URI of a file, or of a folder (`label-studio`, `parquet`, ...).
        options: keyword arguments of the format's writer.

    Returns:
        rows written: `images`, `boxes`, `relations`, and `left_out` where the format cannot hold all.

    Raises:
        ValueError: an unknown format or option, naming the choices.
        OSError: the output cannot be written; nothing is left at `out`.
    """
    try:
        write = TARGETS.load(to)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"export format {to!r} cannot be loaded: {error}") from error
    known = [p for p in inspect.signature(write).parameters if p not in ("tables", "path")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        choices = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ValueError(f"export format {to!r} has no option {', '.join(unknown)}; {choices}")
    with publish(str(out)) as path:
        counts: dict[str, int] = write(tables, path, **options)
    return counts
