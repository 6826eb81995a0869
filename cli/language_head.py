"""`relforge language-head`: classifier rows that a sentence encoder writes, and a plot of their layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line

DEFAULT_TABLE = "hico600"


def command(
    encoder: Annotated[
        str,
        typer.Argument(metavar="ENCODER", help="Folder or hub name of BERT, SimCSE, CLIP or the like."),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder to write.")],
    interactions: Annotated[
        str, typer.Option(metavar="TABLE", help="hico600, or a YAML list of [verb, object].")
    ] = DEFAULT_TABLE,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="YAML or JSON: a list of templates with {verb} {object} {a}, or 'verb object' -> sentences.",
        ),
    ] = None,
    pooling: Annotated[
        str, typer.Option(help="cls (BERT), pooler (SimCSE) or mean; CLIP has its own.")
    ] = "cls",
    as_json: Json = False,
) -> None:
    """Write the language head of a table of interactions: rows, prompts to edit, and their layout.

    Several sentences of an interaction are averaged. A recipe of the kind defr names OUT as model.rows.
    """
    from relforge.models.language_head import LanguageHead, save_head, write_rows, write_sentences
    from relforge.reports.row_layout import draw_layout
    from relforge.stages.interactions import read_interactions

    try:
        table = read_interactions(interactions)
        sentences = write_sentences(table, *read_prompts(prompts))
        rows = write_rows(encoder, sentences, pooling)
    except (ValueError, FileNotFoundError) as error:
        raise BadInput(str(error)) from error
    folder = save_head(out, LanguageHead(rows, table, encoder), sentences)
    shown = draw_layout(folder / "layout.png", rows, table)
    if as_json:
        return print_json(
            {"rows": list(rows.shape), "folder": str(folder), "variance_shown": round(shown, 4)}
        )
    print_line(
        f"{folder}: {len(rows)} rows of {rows.shape[1]}; layout.png shows {shown:.0%} of their variance"
    )
    return None


def read_prompts(path: str | None) -> tuple[list[str], dict[str, list[str]]]:
    """Templates and edited sentences of a prompts file; the built-in template without one.

    Raises:
        ValueError: the file is neither of the two forms.
    """
    from relforge.limited_yaml import YamlError, read_yaml
    from relforge.models.language_head import TEMPLATES

    if path is None:
        return list(TEMPLATES), {}
    try:
        values = read_yaml(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise ValueError(f"prompts: {path}: {error}") from error
    if isinstance(values, list) and values and all(isinstance(one, str) for one in values):
        return values, {}
    if isinstance(values, dict):
        lists = {str(name): [own] if isinstance(own, str) else own for name, own in values.items()}
        if all(
            isinstance(own, list) and own and all(isinstance(s, str) for s in own) for own in lists.values()
        ):
            return list(TEMPLATES), lists
    raise ValueError(f"prompts: {path}: expected a list of templates, or 'verb object' with its sentences")
