"""The image page as a folder: images and facts beside it, read when they are shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from relforge.reports.html import pack, write_page
from relforge.reports.view.page import render
from relforge.reports.view.run_view import RunView
from relforge.reports.view.thumbnail import LONGER_SIDE
from relforge.stages.export.publish import publish

_READERS = 8


def write_folder(view: RunView, out: str) -> dict[str, Any]:
    """Write `index.html`, `facts/N.js` (a chunk each) and `images/PLACE.jpg`, whole or not at all.

    The page opens from a file manager or any web server; a part at a time is in memory.

    Args:
        out: folder; what is there is replaced only if it is such a folder.

    Returns:
        what is on the page, as `RunView.head` and `index` say it, and `without_thumbnail`: images without
        one.

    Raises:
        FileExistsError: `out` is something else.
        OSError: it cannot be written.
    """
    there = Path(out)
    if there.exists() and not (there / "facts").is_dir() and (there.is_file() or any(there.iterdir())):
        raise FileExistsError(f"{out} is there already and is no page of relforge view; choose another name")
    place = {one: number for number, one in enumerate(view.images)}
    without = 0
    with publish(out) as path, ThreadPoolExecutor(_READERS) as readers:
        for folder in (path, path / "facts", path / "images"):
            folder.mkdir()

        def write_image(one: str) -> str:
            packed, reason = view.encode(one, LONGER_SIDE)
            if packed is not None:
                (path / "images" / f"{place[one]}.jpg").write_bytes(packed)
            return reason

        for chunk in range(view.chunks):
            scenes = view.scenes(chunk)
            for scene, reason in zip(
                scenes, readers.map(write_image, [one["id"] for one in scenes]), strict=True
            ):
                scene |= {"no_thumbnail": reason} if reason else {}
                without += bool(reason)
            (path / "facts" / f"{chunk}.js").write_text(facts_script(chunk, scenes), encoding="utf-8")
        data = view.head() | {"index": view.index()}
        write_page(render(data), str(path / "index.html"))
    return data | {"without_thumbnail": without}


def facts_script(chunk: int, scenes: list[dict[str, Any]]) -> str:
    """The facts of a chunk as the page reads them: a call, since pages opened as files may not read files."""
    return f"relforgeFacts({chunk}, {pack(scenes)});\n"
