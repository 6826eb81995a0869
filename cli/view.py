"""`relforge view`: images with the relations of a run, or of two runs, or with detections beside gold."""

from __future__ import annotations

import sys
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
    folder: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write a folder instead, images beside the page: for many images."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Write nothing; answer a browser on this machine until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --serve; 0: any that is free.")] = 0,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="A second run of the same images, side by side.")
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum number of images, a fair sample; default: 200, all by --folder and --serve."
        ),
    ] = None,
    image: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This image only; may be repeated.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help='Draw from images with such a relation, e.g. "score < 0.3".'),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Write drawn relations on one sheet instead, to judge by eye."),
    ] = None,
    relations: Annotated[
        int | None, typer.Option(min=1, max=600, help="Of --sheet: how many; default: 60.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --sheet: draws others.")] = 0,
    as_json: Json = False,
) -> None:
    """Show boxes, relations, the captions behind them, and gold, in a browser.

    One page that needs no other file, a folder with images beside the page (--folder), or a server on this
    machine (--serve). Filters, search and order are in the page; its ? key lists the others.

    With annotations=FILE, TARGET is a table of detections or a model folder, as for relforge eval hico; the
    best of each image are shown beside the annotated pairs, on the pixels where images=FOLDER is given.
    """
    from relforge.reports.view.page import gather, write

    _check(options, out, folder, serve, port, against, image, where)
    if sheet is not None:
        if options or out or folder or serve or against or image or images:
            raise BadInput("--sheet goes with a run folder, --relations, --seed and --where alone")
        return _sheet(target, sheet, relations or RELATIONS, seed, where, as_json)
    if relations is not None or seed:
        raise BadInput("--relations and --seed are of --sheet; give that too")
    if folder is not None or serve:
        return _beside(target, against, images, image or (), where, folder, port, as_json)
    page = out or f"{target.rstrip('/')}{'.view.html' if options else '/view.html'}"
    if options:
        data = _detections(target, options, images or IMAGES, image or ())
    else:
        data = gather(target, images or IMAGES, image or (), where, against)
    write(data, page)
    return _say(page, data, summary(data), where, as_json)


IMAGES = 200
"""On one page by default: each costs it about 50 KB."""


RELATIONS = 60
"""On one sheet by default."""


def _sheet(target: str, file: str, count: int, seed: int, where: str | None, as_json: bool) -> None:
    """Relations drawn from the run on one sheet."""
    from relforge.reports.view.sheet import draw_sheet

    sheet, drawn = draw_sheet(target, count, seed, where)
    try:
        sheet.save(file)
    except (OSError, ValueError) as error:
        raise BadInput(f"--sheet {file}: cannot be written ({error}); name a .png or .jpg file") from error
    if as_json:
        names = ("image_id", "subject_box", "predicate", "object_box")
        return print_json({"out": file, "relations": [dict(zip(names, one, strict=True)) for one in drawn]})
    return print_line(f"{file}: {len(drawn):,} relations of {target}, seed {seed}, subject red, object blue")


def _check(
    options: list[str] | None,
    out: str | None,
    folder: str | None,
    serve: bool,
    port: int,
    against: str | None,
    image: list[str] | None,
    where: str | None,
) -> None:
    if image and where is not None:
        raise BadInput("--image names images and --where chooses them; give one of the two")
    if sum((out is not None, folder is not None, serve)) > 1:
        raise BadInput("--out writes one page, --folder a folder and --serve nothing; give one of the three")
    if port and not serve:
        raise BadInput("--port is of --serve; give that too")
    if options and where is not None:
        raise BadInput("--where chooses images of a run by its rows; detections have none")
    for name, given in (
        ("--folder", folder is not None),
        ("--serve", serve),
        ("--against", against is not None),
    ):
        if options and given:
            raise BadInput(f"{name} is of run folders; detections are written as one page (--out)")


def _beside(
    target: str,
    against: str | None,
    images: int | None,
    only: list[str] | tuple[()],
    where: str | None,
    folder: str | None,
    port: int,
    as_json: bool,
) -> None:
    """The page with its images beside it, as a folder or from a server."""
    from relforge.reports.view.folder import write_folder
    from relforge.reports.view.run_view import RunView
    from relforge.reports.view.serve import ViewServer

    view = RunView(target, against, images, only, where)
    if folder is not None:
        try:
            data = write_folder(view, folder)
        except OSError as error:
            raise BadInput(f"--folder {folder}: {error}") from error
        return _say(f"{folder.rstrip('/')}/index.html", data, summary(data), where, as_json)
    try:
        server = ViewServer(view, port)
    except OSError as error:
        raise BadInput(f"--port {port}: cannot be opened ({error.strerror or error})") from error
    if as_json:
        print_json(
            {"address": server.address, "images": len(view.images), "left_out": view.total - len(view.images)}
        )
    else:
        print_line(
            f"{server.address}  {len(view.images):,} of {view.total:,} images of {target}; Ctrl-C ends it"
        )
    sys.stdout.flush()
    try:
        server.serve()
    except KeyboardInterrupt:
        print_line("ended", sys.stderr)
    finally:
        server.release()
    return None


def _say(page: str, data: dict[str, Any], counts: dict[str, int], where: str | None, as_json: bool) -> None:
    if as_json:
        return print_json({"out": page, **counts})
    drawn = f"{counts['images']:,} of {data['total']:,} images"
    drawn += " where the condition holds" if where is not None else ""
    print_line(f"{page}: {drawn}, {counts['relations']:,} {data['shown']}")
    if data["gold"]:
        print_line(", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("right", "wrong", "missed")))
    if "both" in counts:
        print_line(
            f"{counts['both']:,} in both runs, {counts['only_a']:,} only in A, {counts['only_b']:,} only in B"
        )
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
    """Counts of what is on the page.

    Args:
        data: of `page.gather` or `folder.write_folder`.
    """
    if "images" in data:
        without = sum(image["thumbnail"] is None for image in data["images"])
        relations = [one for image in data["images"] for one in image["relations"]]
        verdicts, sides = (
            Counter(one["verdict"] for one in relations),
            Counter(one.get("side") for one in relations),
        )
        images = len(data["images"])
    else:
        from relforge.reports.view.index import VERDICTS

        index, without = data["index"], data["without_thumbnail"]
        letters = Counter(index["verdict"])
        verdicts, sides = (
            Counter({name: letters[one] for name, one in VERDICTS.items()}),
            Counter(index.get("side")),
        )
        images = len(index["images"])
    gold = {name: verdicts[name] for name in ("right", "wrong", "missed")} if data["gold"] else {}
    two = {"both": sides[3], "only_a": sides[1], "only_b": sides[2]} if "against" in data else {}
    return {
        "images": images,
        "left_out": data["left_out"],
        "without_thumbnail": without,
        "relations": verdicts.total() - verdicts["missed"],
        **gold,
        **two,
    }
