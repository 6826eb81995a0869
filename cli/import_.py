"""`relforge import TOOL FILE --into RUN`: what people corrected comes back into a run."""

from __future__ import annotations

from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line


def command(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="label-studio.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="As the tool exports it: JSON.")],
    into: Annotated[str, typer.Option("--into", metavar="RUN", help="Run folder that was exported.")],
    as_json: Json = False,
) -> None:
    """Read corrections of boxes and relations into a run; exports and training follow them from then on.

    The run's own tables stay as they are. A file of images that were corrected before replaces what was said
    of them; `relforge report RUN` says how far people and labels agree.
    """
    from relforge.pipeline.corrections import import_corrections

    try:
        counts = import_corrections(into, tool, file)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise BadInput(str(error)) from error
    if as_json:
        return print_json({"into": into, **counts})
    verdicts = ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("right", "removed", "added"))
    print_line(f"{into}: {counts['images']:,} images judged: {verdicts}")
    of_boxes = ", ".join(
        f"{counts.get(f'boxes_{name}', 0):,} {name}" for name in ("right", "changed", "removed", "added")
    )
    print_line(f"boxes: {of_boxes}")
    left_out = {name: count for name, count in counts.items() if name not in _TOLD and count}
    if left_out:
        print_line("left out: " + ", ".join(f"{count:,} {name}" for name, count in left_out.items()))
    return None


_TOLD = (
    *("images", "right", "removed", "added", "corrections", "corrected_boxes"),
    *("boxes_right", "boxes_changed", "boxes_removed", "boxes_added"),
)
