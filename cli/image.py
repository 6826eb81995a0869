"""Everything a run knows about one image, in words."""

from __future__ import annotations

from typing import Any

from relforge.cli.errors import BadInput
from relforge.cli.output import print_json
from relforge.reports.query import connect, readable, select


def show_image(datasets: Any, image_id: str, as_json: bool) -> None:
    """Print boxes, captions, what was parsed, and the relations with the captions that speak of them.

    Raises:
        BadInput: no table knows the image.
    """
    connection = connect(datasets)
    found = {
        name: select(
            connection, f"SELECT * FROM {readable(name, datasets)} WHERE image_id = ?", [image_id]
        ).to_pylist()
        for name in datasets
    }
    found = {name: rows for name, rows in found.items() if rows}
    if not found:
        raise BadInput(f"no image {image_id!r} here; `relforge inspect RUN --table images` lists them")
    if as_json:
        return print_json(found)
    for row in found.get("images", ()):
        print(f"image {image_id}: {row['width']} x {row['height']} {row['uri'] or '(no picture)'}")
    for row in found.get("boxes", ()):
        box = ", ".join(f"{row[side]:g}" for side in "xywh")
        print(f"  {row['category']}#{row['box_id']} [{box}]{' crowd' if row['iscrowd'] else ''}")
    texts = {row["caption_id"]: row["text"] for row in found.get("captions", ())}
    _list("captions", [f"{number}: {text}" for number, text in texts.items()])
    _list(
        "triplets",
        [
            f"{t['caption_id']}: {t['subject']} | {t['predicate']} | {t['object']}"
            for t in found.get("triplets", ())
        ],
    )
    table = next((name for name in ("relations", "scores", "candidates") if name in found), None)
    if table:
        _list(table, [sentence(row, texts) for row in found[table]])
    return None


def sentence(row: dict[str, Any], texts: dict[int, str]) -> str:
    """`person#0 riding horse#1  0.87  (2 captions: "a man riding a horse")`."""
    score = f"  {row['score']:.2f}" if "score" in row else ""
    text = texts.get(row["caption_ids"][0]) if row["caption_ids"] else None
    evidence = f'  ({row["support"]} caption{"s" * (row["support"] != 1)}: "{text}")' if text else ""
    return f"{row['subject']} {row['predicate']} {row['object']}{score}{evidence}"


def _list(title: str, lines: list[str]) -> None:
    print(f"{title}:" if lines else f"{title}: none")
    for line in lines:
        print(f"  {line}")
