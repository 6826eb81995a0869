"""`relforge view`: a page of images with the relations of a run, or with detections beside gold."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|DETECTIONS", help="Run folder (path or URI), or detections with annotations=FILE."
        ),
    ],
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPTION=VALUE]...", help="Of detections: options of relforge eval hico."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html", help="Where to write; default: RUN/view.html, DETECTIONS.view.html."
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Maximum number of images, a fair sample.")] = 200,
    image: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This image only; may be repeated.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help='Draw from images with such a relation, e.g. "score < 0.3".'),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one page that works without a server: boxes, relations, the captions behind them, gold.

    With annotations=FILE, TARGET is a table of detections or a model folder, as for relforge eval hico; the
    best of each image are shown beside the annotated pairs, on the pixels where images=FOLDER is given.
    """
    from relforge.reports.view.page import gather, write

    if image and where is not None:
        raise BadInput("--image names images and --where chooses them; give one of the two")
    if options and where is not None:
        raise BadInput("--where chooses images of a run by its rows; detections have none")
    page = out or f"{target.rstrip('/')}{'.view.html' if options else '/view.html'}"
    if options:
        data = _detections(target, options, images, image or ())
    else:
        data = gather(target, images, image or (), where)
    write(data, page)
    counts = summary(data)
    if as_json:
        return print_json({"out": page, **counts})
    drawn = f"{counts['images']:,} of {data['total']:,} images"
    drawn += " where the condition holds" if where is not None else ""
    print_line(f"{page}: {drawn}, {counts['relations']:,} {data['shown']}")
    if data["gold"]:
        print_line(", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("right", "wrong", "missed")))
    if data["left_out"]:
        print_line(f"{data['left_out']:,} images left out; --images takes more, --image ID names one")
    if counts["without_thumbnail"]:
        print_line(f"{counts['without_thumbnail']:,} shown as empty frames: the image file cannot be read")
    return None


def _detections(target: str, options: list[str], images: int, only: list[str] | tuple[()]) -> dict[str, Any]:
    from relforge.cli.eval import build_evaluator
    from relforge.images import ImageError
    from relforge.reports.view.detections import gather_detections
    from relforge.stages.contract import SourceError

    evaluator = build_evaluator("relforge view", "hico", options)
    try:
        return gather_detections(target, evaluator, images, only)
    except (ValueError, OSError, SourceError, ImageError) as error:
        raise BadInput(str(error)) from error


def summary(data: dict[str, Any]) -> dict[str, int]:
    """Counts of what is on the page."""
    verdicts = Counter(one["verdict"] for image in data["images"] for one in image["relations"])
    gold = {name: verdicts[name] for name in ("right", "wrong", "missed")} if data["gold"] else {}
    return {
        "images": len(data["images"]),
        "left_out": data["left_out"],
        "without_thumbnail": sum(image["thumbnail"] is None for image in data["images"]),
        "relations": verdicts.total() - verdicts["missed"],
        **gold,
    }
