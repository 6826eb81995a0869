"""`relforge fetch NAME`: a model, data set or file by its pinned hash, for configs to name."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line

_EVERY = 5.0
"""Seconds between two lines of progress."""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="hub:OWNER/REPOSITORY@COMMIT, hub:datasets/..., or https://HOST/FILE#sha256=HASH.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Fetch a model, a data set or a file once, checked by its hash, for configs to name.

    A config then has `model: NAME`, or `annotations: NAME/FOLDER/FILE` of a repository. A fetch that was
    stopped goes on where it was. Without @COMMIT the newest commit is taken; its name is printed. HF_TOKEN
    is sent to the hub, RELFORGE_CACHE says where files are kept.
    """
    from relforge.models.download import FetchError
    from relforge.models.fetched import read_name
    from relforge.models.hub import fetch_file, fetch_repository, list_repository, refuse_offline

    licence = ""
    try:
        pinned = read_name(name)
        known = bool(pinned.url or pinned.commit) and pinned.is_here
        if not known:
            refuse_offline()
            if pinned.url:
                path = fetch_file(pinned, _Progress())
            else:
                listing = list_repository(pinned)
                licence, pinned = listing.licence, listing.pinned
                total = sum(size for size, _ in listing.files.values())
                print_line(f"{len(listing.files)} files, {total / 1e6:,.1f} MB", sys.stderr)
                path = fetch_repository(listing, _Progress())
        else:
            path, licence = pinned.path, pinned.licence
    except (FetchError, ValueError) as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise BadInput(f"{name}: cannot be written ({error})") from error
    if as_json:
        facts = {"name": pinned.name, "path": str(path), "licence": licence, "was_here": known}
        return print_json(facts)
    print_line(f"{path}{' (was here)' if known else ''}")
    print_line(f"name in a config: {pinned.name}")
    print_line(f"licence: {licence or 'not stated'}; its terms are on {pinned.page}")
    return None


class _Progress:
    """A line on standard error every few seconds."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def __call__(self, file: str, count: int) -> None:
        if time.monotonic() - self._printed >= _EVERY:
            self._printed = time.monotonic()
            print_line(f"{file}: {count / 1e6:,.0f} MB", sys.stderr)
