"""`relforge options [TOPIC [NAME]]`: what a config, a recipe or a command line may say, by the code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from relforge.pipeline.config.option_docs import Option

_WRITTEN = "Written from the code by `relforge options --write docs/reference`."
COLUMNS = ("option", "type", "default", "unit", "a change", "meaning")


def command(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="run, dataset, a stage, eval, export, train; or a backend."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Its backend, format, benchmark, recipe or model, e.g. blip."),
    ] = None,
    write: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write every reference page there (docs/reference).")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of configs, for editors.")
    ] = False,
    recipes: Annotated[
        bool, typer.Option("--recipes", help="With --schema: that of training recipes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List options with type, default, unit and what a change of each costs. Without a topic: the topics."""
    from relforge.cli.option_topics import find_options, list_topics

    if recipes and not schema:
        raise BadInput("--recipes is of --schema; give both")
    if recipes:
        from relforge.cli.recipe_schema import recipe_schema

        return print_json(recipe_schema())
    if schema:
        from relforge.pipeline.config.json_schema import config_schema

        return print_json(config_schema())
    if write is not None:
        return _write_pages(Path(write))
    if topic is None:
        topics = list_topics()
        if as_json:
            return print_json(topics)
        return print_table(
            ("relforge options ...", "one of"), [(one, ", ".join(names)) for one, names in topics.items()]
        )
    found = find_options(topic, name)
    if as_json:
        return print_json([asdict(one) for one in found])
    if not found:
        return print_line(f"{' '.join(filter(None, (topic, name)))} takes no options")
    for one in found:
        print_line(f"{one.name}  {_facts(one)}")
        if one.meaning:
            print_line(f"    {one.meaning}")
    print_line(f"taken by {found[0].source}")
    return None


def _facts(one: Option) -> str:
    parts = (one.type, "needed" if one.default is None else f"default {one.default}", one.unit, one.cost)
    return "; ".join(part for part in parts if part)


def _write_pages(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in render_pages().items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--write {folder}: cannot be written ({error.strerror})") from error
    print_line(f"{folder}: {len(render_pages())} pages")


def render_pages() -> dict[str, str]:
    """File name -> page of the reference."""
    from relforge.cli.option_topics import find_options, list_topics

    topics = list_topics()
    lines = [
        "# Reference: every option",
        "",
        "Written by `relforge options --write docs/reference` from the code.",
    ]
    lines += [
        "*A change* says what is done again when the option gets another value.",
        "",
        "| topic | holds |",
    ]
    lines += ["|---|---|"]
    pages = {}
    for topic, names in topics.items():
        parts = [f"# {topic}", "", _WRITTEN]
        if topic in ("run", "resources", "dataset"):
            parts += ["", *_table(find_options(topic, None))]
        for name in names:
            parts += ["", f"## {topic} {name}", "", *_table(find_options(topic, name))]
        pages[f"{topic}.md"] = "\n".join(parts) + "\n"
        lines.append(f"| [{topic}]({topic}.md) | {', '.join(names) or 'its fields'} |")
    return {"README.md": "\n".join(lines) + "\n", **pages}


def _table(options: Sequence[Option]) -> list[str]:
    if not options:
        return ["No options."]
    rows = [
        (
            f"`{one.name}`",
            f"`{one.type}`" if one.type else "",
            "needed" if one.default is None else f"`{one.default}`",
            one.unit,
            one.cost,
            one.meaning,
        )
        for one in options
    ]
    sources = dict.fromkeys(one.source for one in options)
    head = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [*head, *body, "", "Taken by " + ", ".join(f"`{one}`" for one in sources) + "."]
