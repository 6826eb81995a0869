"""`relforge synonyms DATASET`: a synonym table drafted for the classes of a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line
from relforge.cli.run import Overrides


def command(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A config, a run folder, or a COCO-format JSON file.")
    ],
    overrides: Overrides = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE.yaml", help="Where to write; default: standard output.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft a synonym table for a data set's classes, to be edited and named in stages.match.synonyms."""
    from relforge.stages.match.draft import draft_table
    from relforge.stages.match.vocabulary import BUILT_IN, load

    if out and not out.endswith((".yaml", ".yml")):
        raise BadInput(f"--out {out}: a table is YAML; choose a name that ends in .yaml")
    if out and Path(out).exists():
        raise BadInput(f"--out {out}: is there already, and may be edited; choose another name or delete it")
    classes = read_classes_of(dataset, overrides or [])
    if not classes:
        raise BadInput(f"{dataset}: has no class")
    text = draft_table(classes, load(BUILT_IN), dataset, list(BUILT_IN))
    if out:
        try:
            Path(out).write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadInput(f"--out {out}: cannot be written ({error.strerror})") from error
    if as_json:
        print_json({"out": out, "classes": list(classes), "table": yaml.safe_load(text)})
    elif out:
        print_line(f"{out}: {len(classes):,} classes; edit it, then name it in stages.match.synonyms")
    else:
        sys.stdout.write(text)


def read_classes_of(dataset: str, overrides: list[str]) -> dict[str, list[str]]:
    """Class -> the source's own synonyms, of a config's data set, a run folder or a COCO-format file.

    Raises:
        BadInput, ConfigError, RunError: it cannot be read.
    """
    from relforge.pipeline.config import load
    from relforge.stages.class_table import read_classes
    from relforge.stages.contract import ListsClasses, SourceError
    from relforge.stages.ingest.coco import CocoSource

    try:
        if "://" in dataset or Path(dataset).is_dir():
            return _of_run(dataset)
        if dataset.endswith(".json"):
            if not Path(dataset).is_file():
                raise BadInput(
                    f"{dataset}: no such file; give a config, a run folder or a COCO-format JSON file"
                )
            return CocoSource(dataset).list_classes()
        source = load(dataset, overrides).build_source()
        if isinstance(source, ListsClasses) and (listed := source.list_classes()):
            return {name: list(words) for name, words in listed.items()}
        found: dict[str, list[str]] = {}
        for shard in source.shards(4096):  # the source has no list: its boxes say
            found |= read_classes(shard.tables.get("classes"))
            for name in sorted(set(shard.tables["boxes"]["category"].to_pylist())):
                found.setdefault(name, [])
    except SourceError as error:
        raise BadInput(str(error)) from error
    return dict(sorted(found.items()))


def _of_run(folder: str) -> dict[str, list[str]]:
    from relforge.reports.classes import read_listed_classes
    from relforge.reports.datasets import open_datasets
    from relforge.reports.query import connect

    datasets, _ = open_datasets(folder)
    if "boxes" not in datasets:
        raise BadInput(f"{folder}: has no boxes yet; run its ingest, or give the config")
    return read_listed_classes(connect(datasets, direct=True), datasets)
