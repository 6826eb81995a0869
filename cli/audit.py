"""`relforge audit TARGET --against SET`: images of test sets that are in a run or a training set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line, print_table
from relforge.cli.status import print_warnings

if TYPE_CHECKING:
    from relforge.data.audit.leaks import Audit
    from relforge.data.audit.sets import Listed


def command(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Run folder, folder of images, list of images or recipe.")
    ],
    against: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]PATH", help="A test set; again for each of its files, and for others."),
    ],
    coco_ids: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Visual Genome's image_data.json: which of its images are COCO's."),
    ] = None,
    bits: Annotated[
        int, typer.Option(min=0, max=256, help="Hashes of one image differ in so many of 256 at most.")
    ] = 40,
    content: Annotated[
        bool, typer.Option("--content/--names-only", help="Compare image files too, where there are any.")
    ] = True,
    write: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the list that training and export can exclude.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find images that a benchmark measures on and that labels or training have seen.

    Ids are compared first (V-COCO and COCO of 2014 and 2017 share theirs; --coco-ids adds Visual Genome's),
    then bytes, then what images show: encoded again, resized, mirrored or cropped by a twentieth.

    A set is a folder of images, a run folder, or a list: .txt (one id or name a line), .json as of COCO,
    HICO-DET, V-COCO or Visual Genome, .csv of Open Images, anno_bbox.mat, VG-SGG-with-attri.h5. NAME says
    whose numbers a list has: coco, vcoco, visual_genome, vg150, hico, open_images; a list and a folder of one
    name belong together:

    relforge audit RUN --against vcoco=vcoco_test.ids --against vcoco=coco/val2014 --write leaks.json
    """
    from relforge.data.audit import leaks, sets
    from relforge.stages.contract import SourceError

    try:
        numbers = None if coco_ids is None else sets.read_coco_ids(coco_ids)
        groups: dict[str, list[str]] = {}
        for one in against:
            name, equals, path = one.partition("=")
            groups.setdefault(name if equals else one, []).append(path if equals else one)
        theirs = {name: sets.read_set(name, paths, numbers) for name, paths in groups.items()}
        ours = _target(target, numbers)
        progress = (lambda text: None) if as_json else print_line
        found = leaks.find_leaks(ours, theirs, bits=bits, content=content, progress=progress)
    except ModuleNotFoundError as error:
        raise BadInput(
            f"comparing images needs {error.name}: pip install 'relforge[audit]', or give --names-only"
        ) from error
    except (ValueError, OSError, SourceError) as error:
        raise BadInput(str(error)) from error
    document = _document(target, groups, bits if content else None, found)
    if write is not None:
        partial = Path(f"{write}.partial")
        partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        partial.replace(write)
    if as_json:
        return print_json(document)
    _show(found)
    if write is not None:
        print_line(
            f"{write}: {len(document['images']):,} images; exclude it in a recipe's data or with export"
        )
    return None


def _target(target: str, coco_ids: dict[int, int] | None) -> list[Listed]:
    from relforge.data.audit import sets

    if not target.endswith((".yaml", ".yml")):
        return sets.read_set("", [target], coco_ids)
    from relforge.pipeline.config.source import read

    parts = read(target, []).values.get("data")
    if not isinstance(parts, list):
        raise ValueError(f"{target}: no data, the list of a training recipe")
    return [image for part in parts for image in sets.read_entry(part, coco_ids)]


def _document(target: str, groups: dict[str, list[str]], bits: int | None, found: Audit) -> dict[str, Any]:
    return {
        "target": target,
        "against": groups,
        "bits": bits,
        "audited": found.images,
        "compared": {name: {"images": a, "with_files": b} for name, (a, b) in found.compared.items()},
        "unread": found.unread,
        "images": list(dict.fromkeys(one.image_id for one in found.leaks)),
        "leaks": [vars(one) for one in found.leaks],
    }


def _show(found: Audit) -> None:
    counted = Counter((one.against, one.how) for one in found.leaks)
    columns = ("against", "its images", "files compared", "same id", "same bytes", "same image")
    rows = []
    for name, (count, files) in found.compared.items():
        how = [counted[name, kind] for kind in ("same id", "same bytes", "same image", "mirrored", "cropped")]
        rows.append((name, *(f"{value:,}" for value in (count, files, *how))))
    print_table((*columns, "mirrored", "cropped"), rows)
    print_line(
        f"{len({one.image_id for one in found.leaks}):,} of {found.images:,} images are in a set above"
    )
    warnings = [f"{count:,} images were not compared: {reason}" for reason, count in found.unread.items()]
    names = [name for name, (count, files) in found.compared.items() if not files]
    if names:
        warnings.append(f"{', '.join(names)}: no image files given, so ids and names alone were compared")
    print_warnings(warnings)
