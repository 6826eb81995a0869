"""`relforge models`: the zoo, its sizes, its published numbers, and what weights fit."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.models.catalogue import Entry, read_catalogue
from relforge.models.zoo import MODELS

_MEASURES = ("benchmark", "backbone")


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="One model with all its published numbers.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that `relforge train` knows.

    Parameters and GFLOPs are those of the published model on ResNet-50, for 80 classes, 117 relations and an
    image of 800 x 1216 pixels, unless the model's own page says otherwise. Published numbers are their
    authors', in per cent; none was measured here.
    """
    found = {kind: entry for kind, entry in read_catalogue().items() if kind in MODELS}
    if name is not None:
        if name not in found:
            raise BadInput(f"models: {name!r} is not listed; choose one of {', '.join(found)}")
        found = {name: found[name]}
    if as_json:
        return print_json(found)
    columns = (
        "model",
        "title",
        "finds",
        "parameters, M",
        "GFLOPs",
        "published (ResNet-50, or as named)",
        "weights that fit",
    )
    print_table(columns, [_row(kind, entry) for kind, entry in found.items()])
    if name is not None:
        entry = found[name]
        print_line(f"{entry['title']}: {entry['paper']}; {entry['source']}")
        if entry["counted"]:
            print_line(f"Parameters and GFLOPs: {entry['counted']}")
        rows = [(one["benchmark"], one["backbone"], _numbers(one)) for one in entry["published"]]
        print_table(("benchmark", "backbone", "published"), rows)
    return None


def _row(kind: str, entry: Entry) -> tuple[object, ...]:
    best = {one["benchmark"]: _named(one) for one in reversed(entry["published"])}
    best |= {
        one["benchmark"]: f"{_first(one)}"
        for one in reversed(entry["published"])
        if one["backbone"] == "ResNet-50"
    }
    published = ", ".join(f"{benchmark} {value}" for benchmark, value in sorted(best.items()))
    parameters, size = f"{entry['parameters'] / 1e6:.1f}", round(entry["gflops"])
    return kind, entry["title"], entry["finds"], parameters, size, published, "; ".join(entry["weights"])


def _named(one: dict[str, Any]) -> str:
    return f"{_first(one)} ({one['backbone']})"


def _first(one: dict[str, Any]) -> float:
    """The number that a benchmark is known by, the first of its row."""
    return next(value for name, value in one.items() if name not in _MEASURES)


def _numbers(one: dict[str, Any]) -> str:
    rest = {name: value for name, value in one.items() if name not in _MEASURES}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rest.items())
