"""`relforge view RUN`: a page of pictures with their relations."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from relforge.cli.output import Json, print_json
from relforge.cli.status import RunPath


def command(
    run: RunPath,
    out: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Where to write; default: RUN/view.html.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Most pictures on the page, a fair sample.")] = 200,
    image: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This picture only; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one page that works without a server: boxes, relations, the captions behind them, gold."""
    from relforge.reports.view.gather import gather
    from relforge.reports.view.page import write

    target = out or f"{run.rstrip('/')}/view.html"
    data = gather(run, images, image or ())
    write(data, target)
    counts = summary(data)
    if as_json:
        return print_json({"out": target, **counts})
    drawn = f"{counts['images']:,} of {data['total']:,} pictures"
    print(f"{target}: {drawn}, {counts['relations']:,} {data['shown']}")
    if data["gold"]:
        print(", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("right", "wrong", "missed")))
    if data["left_out"]:
        print(f"{data['left_out']:,} pictures left out; --images takes more, --image ID names one")
    if counts["without_picture"]:
        print(f"{counts['without_picture']:,} shown as empty frames: their picture cannot be read")
    return None


def summary(data: dict[str, Any]) -> dict[str, int]:
    """Counts of what is on the page."""
    verdicts = Counter(one["verdict"] for image in data["images"] for one in image["relations"])
    gold = {name: verdicts[name] for name in ("right", "wrong", "missed")} if data["gold"] else {}
    return {
        "images": len(data["images"]),
        "left_out": data["left_out"],
        "without_picture": sum(image["picture"] is None for image in data["images"]),
        "relations": verdicts.total() - verdicts["missed"],
        **gold,
    }
