"""`relforge label IMAGE`: the relations of one image, printed and shown."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from relforge.cli import exits
from relforge.cli.exits import BadInput
from relforge.cli.image_boxes import Box, read_boxes
from relforge.cli.output import Json, print_json, print_line, report_error
from relforge.cli.run import Overrides

_STAGES: dict[str, dict[str, Any]] = {
    "caption": {"backend": "blip"},
    "parse": {"backend": "relforge"},
    "match": {"backend": "synonyms", "synonyms": ["coco"]},
    "tag": {"backend": "rule"},
    "select": {"backend": "select"},
}
"""Where neither --like nor overrides say otherwise: what needs no model but the captioner."""
_LABELLING = tuple(_STAGES)


def command(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Image file.")],
    overrides: Overrides = None,
    boxes: Annotated[
        str | None,
        typer.Option(metavar="FILE.json", help='A list of {"category": ..., "bbox": [x, y, w, h]}, or COCO.'),
    ] = None,
    detect: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Find the boxes with this object detector of transformers."),
    ] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Of boxes that --detect finds.")] = 0.5,
    caption: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Take this caption and no captioner; may be repeated."),
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="CONFIG", help="Label by the stages of this config.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="The page; default: IMAGE.relations.html, here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Label the relations between the boxes of one image: print them, and draw them on a page.

    Boxes come from a file or from a detector, captions from the captioner of the stages or from --caption.
    Options of stages are overrides, e.g. stages.tag.backend=rtagger stages.tag.model=FOLDER.
    """
    from relforge.cli.run import execute
    from relforge.pipeline.config import load
    from relforge.reports.view.page import gather, write

    if (boxes is None) == (detect is None):
        raise BadInput("give the boxes of the image: --boxes FILE.json, or --detect FOLDER of a detector")
    size = _size(image)
    given = read_boxes(boxes, image) if boxes is not None else _detected(image, str(detect), min_score)
    page = out or f"{Path(image).stem}.relations.html"
    with tempfile.TemporaryDirectory(prefix="relforge-label-") as folder:
        config = _write_job(Path(folder), image, size, given, caption or [], like)
        job = load(str(config), overrides or [])
        result = execute(job, "loop")
        if result.outcome != exits.COMPLETE:
            report_error(result.message, int(result.outcome), as_json)
            raise typer.Exit(int(result.outcome))
        data = gather(job.folder) | {"run": image}
        write(data, page)
    [shown] = data["images"]
    texts = dict(shown["captions"])
    relations = [_relation(one, shown["boxes"], texts) for one in shown["relations"]]
    if as_json:
        found = {"boxes": given, "captions": list(texts.values()), "relations": relations}
        return print_json({"out": page, **found})
    print_line(f"{len(given)} boxes, {len(texts)} captions, {len(relations)} relations")
    for one in relations:
        score = "" if one["score"] is None else f"  {one['score']:.2f}"
        stated = f'  ("{one["captions"][0]}")' if one["captions"] else ""
        print_line(f"  {one['subject']} {one['predicate']} {one['object']}{score}{stated}")
    if not relations:
        print_line(_why_none(shown["boxes"], texts))
    print_line(f"drawn on {page}")
    return None


def _size(image: str) -> tuple[int, int]:
    from relforge.images import ImageError, read_size

    try:
        return read_size(image)
    except (ImageError, OSError) as error:
        raise BadInput(f"{image}: {error}") from error


def _detected(image: str, folder: str, min_score: float) -> list[Box]:
    from relforge.images import ImageError, decode, read
    from relforge.models.object_detector import detect_objects

    try:
        # as stored, as the boxes of a file would be
        found = detect_objects(folder, decode(read(image), orientation="stored"), min_score)
    except (ImageError, ValueError, OSError) as error:
        raise BadInput(f"--detect {folder}: {error}") from error
    if not found:
        raise BadInput(f"--detect {folder}: finds no box of {min_score} or more; lower --min-score")
    return [{"category": one.category, "bbox": list(one.xywh), "score": one.score} for one in found]


def _write_job(
    folder: Path, image: str, size: tuple[int, int], boxes: list[Box], captions: list[str], like: str | None
) -> Path:
    """A data set of one image, and the config that labels it."""
    copy = folder / f"image{Path(image).suffix}"  # whatever its folder is called
    shutil.copyfile(image, copy)
    codes: dict[str, int] = {}
    for box in boxes:
        codes.setdefault(box["category"], len(codes) + 1)
    content = {
        "images": [{"id": 1, "file_name": copy.name, "width": size[0], "height": size[1]}],
        "categories": [{"id": code, "name": name} for name, code in codes.items()],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": codes[box["category"]], "bbox": box["bbox"]}
            for number, box in enumerate(boxes, 1)
        ],
    }
    (folder / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    stages = _stages(like)
    if captions:
        (folder / "captions.json").write_text(json.dumps({"1": captions}), encoding="utf-8")
        stages["caption"] = {"backend": "import", "files": str(folder / "captions.json")}
    dataset = {"name": "image", "split": "one", "format": "coco"}
    dataset |= {"annotations": str(folder / "boxes.json"), "images": str(folder)}
    values = {
        "dataset": {**dataset, "orientation": "stored"},
        "run": {"folder": str(folder / "run"), "quarantine_limit": 1.0},
        "stages": stages,
    }
    config = folder / "label.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    return config


def _stages(like: str | None) -> dict[str, Any]:
    """The labelling stages of a config, or relforge's own."""
    from relforge.pipeline.config import check, read

    if like is None:
        return {name: dict(stage) for name, stage in _STAGES.items()}
    chosen = check(read(like)).stages
    return {
        name: {"backend": stage.backend, **stage.options}
        for name, stage in chosen.items()
        if name in _LABELLING
    }


def _relation(one: dict[str, Any], boxes: list[dict[str, Any]], texts: dict[int, str]) -> dict[str, Any]:
    names = {box["id"]: f"{box['category']}#{box['id']}" for box in boxes}
    stated = [texts[caption] for caption, _ in one["evidence"]]
    return {
        "subject": names[one["subject"]],
        "predicate": one["predicate"],
        "object": names[one["object"]],
        "score": one["score"],
        "captions": list(dict.fromkeys(stated)),
    }


def _why_none(boxes: list[dict[str, Any]], texts: dict[int, str]) -> str:
    """What to look at where no relation came out."""
    if len(boxes) < 2:
        return "a relation needs two boxes"
    if not texts:
        return "the captioner gave no caption that could be used"
    classes = ", ".join(dict.fromkeys(box["category"] for box in boxes))
    return f"no caption states a relation between two of the boxes ({classes}): " + "; ".join(
        f'"{text}"' for text in list(texts.values())[:3]
    )
