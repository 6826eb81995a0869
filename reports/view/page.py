"""The image page as one file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from relforge.reports.html import fill, write_page
from relforge.reports.view.index import index_scenes
from relforge.reports.view.run_view import RunView
from relforge.reports.view.thumbnail import LONGER_SIDE, as_data_uri

_READERS = 8


def gather(
    run: str,
    max_images: int = 200,
    only: Sequence[str] = (),
    where: str | None = None,
    against: str | None = None,
) -> dict[str, Any]:
    """Everything on the page as plain values.

    Args:
        run, only, where, against: see `RunView`.
        max_images: how many images.

    Returns:
        `run`, `dataset`, `shown` (the table drawn), `gold` (whether the run has any), `total` images
        to draw from, `left_out` of them, and `images` (`scene` with `thumbnail` and, where there is none,
        `no_thumbnail`).

    Raises:
        RunError, QueryError: see `RunView`.
    """
    view = RunView(run, against, max_images, only, where)
    scenes = view.describe()

    def thumbnail(one: str) -> tuple[bytes | None, str]:
        return view.encode(one, LONGER_SIDE)

    with ThreadPoolExecutor(_READERS) as readers:
        for scene, (packed, reason) in zip(scenes, readers.map(thumbnail, view.images), strict=True):
            scene |= {"thumbnail": packed and as_data_uri(packed), "no_thumbnail": reason}
    return view.head() | {"images": scenes}


def write(data: dict[str, Any], out: str) -> None:
    """Write `gather`'s values as one page that needs no other file."""
    scenes = data["images"]
    rest = {name: value for name, value in data.items() if name != "images"}
    write_page(render(rest | {"index": index_scenes(scenes), "scenes": scenes}), out)


def render(data: dict[str, Any]) -> str:
    """The page around the data that it reads.

    Args:
        data: `RunView.head`, `index` and, on a page that needs no other file, `scenes`; otherwise facts and
            images are beside it (`folder`, `serve`).
    """
    return fill(__package__, "page.html", f"{data['dataset']} - relforge view", data)
