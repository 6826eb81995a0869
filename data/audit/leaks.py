"""Which images of a set are in another one as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from relforge.data.audit.image_hash import Fingerprint, fingerprint
from relforge.data.audit.search import near_pairs
from relforge.data.audit.sets import Listed
from relforge.images import ImageError

BITS = 40
"""Of 256 in which the hashes of one image may differ. On the drawn world re-encoded, resized, mirrored and
cropped copies differ in 26 at most, other images in 74 at least (docs/benchmarks.md)."""

_ORDER = ("same id", "same bytes", "same image", "mirrored", "cropped")


@dataclass(frozen=True)
class Leak:
    """Args:
    image_id: of the image that should not be there.
    against: name of the other set.
    other: the image's name there.
    how: `same id` (or file name), `same bytes`, `same image`, `mirrored` or `cropped`.
    bits: in which the hashes differ; None where ids or bytes tell.
    """

    image_id: str
    against: str
    other: str
    how: str
    bits: int | None = None


@dataclass
class Audit:
    """Args:
    leaks: one for each image and set, the surest.
    images: of the audited set.
    compared: set -> images in it, and how many of those have files that were compared.
    unread: images whose files cannot be read, reason -> how many.
    """

    leaks: list[Leak] = field(default_factory=list)
    images: int = 0
    compared: dict[str, tuple[int, int]] = field(default_factory=dict)
    unread: dict[str, int] = field(default_factory=dict)


def find_leaks(
    ours: Sequence[Listed],
    against: Mapping[str, Sequence[Listed]],
    *,
    bits: int = BITS,
    content: bool = True,
    threads: int = 4,
    progress: Callable[[str], None] = lambda text: None,
) -> Audit:
    """Compare ids, then bytes and what images show.

    A file name that both sets have counts only where the images are alike, or where one of them cannot be
    read: `000001.jpg` is in many data sets.

    Args:
        against: name -> the images of a set.
        bits: see `BITS`.
        content: read image files; else ids and names alone.
        threads: that read and hash.
        progress: told what is read.

    Raises:
        ModuleNotFoundError: the extra `audit` is not installed.
    """
    audit = Audit(images=len(ours))
    own: dict[int, Fingerprint] = {}
    if content and any(one.uri or one.data for others in against.values() for one in others):
        progress(f"reading {len(ours):,} images")
        own = _read(ours, audit, threads, all_views=False)
    for name, others in against.items():
        theirs: dict[int, Fingerprint] = {}
        if content:
            progress(f"reading {len(others):,} images of {name}")
            theirs = _read(others, audit, threads, all_views=True)
        audit.compared[name] = len(others), len(theirs)
        surest: dict[int, Leak] = {}
        for row, leak in _pairs(ours, own, name, others, theirs, bits):
            known = surest.get(row)
            if known is None or _rank(leak) < _rank(known):
                surest[row] = leak
        audit.leaks += [surest[row] for row in sorted(surest)]
    return audit


def _rank(leak: Leak) -> tuple[int, int]:
    return _ORDER.index(leak.how), leak.bits or 0


def _pairs(
    ours: Sequence[Listed],
    own: dict[int, Fingerprint],
    name: str,
    others: Sequence[Listed],
    theirs: dict[int, Fingerprint],
    bits: int,
) -> Iterator[tuple[int, Leak]]:
    place = {known: row for row, one in enumerate(others) for known in one.known}
    digests = {theirs[row].digest: row for row in theirs}
    for row, one in enumerate(ours):
        for known in sorted(one.known & place.keys()):
            if not known.startswith("file:") or row not in own or place[known] not in theirs:
                yield row, Leak(one.name, name, others[place[known]].name, "same id")
        if row in own and (same := digests.get(own[row].digest)) is not None:
            yield row, Leak(one.name, name, others[same].name, "same bytes")
    if not own or not theirs:
        return
    rows, columns = list(own), list(theirs)
    hashes = np.stack([theirs[column].hashes for column in columns])
    first = np.stack([own[row].hashes[0] for row in rows])
    for near in near_pairs(first, hashes[:, 0], hashes[:, 1], hashes[:, 2:], bits):
        row, other = rows[near.ours], others[columns[near.theirs]]
        yield row, Leak(ours[row].name, name, other.name, near.how, near.bits)


def _read(images: Sequence[Listed], audit: Audit, threads: int, *, all_views: bool) -> dict[int, Fingerprint]:
    """Row -> fingerprint, of the images with a file that can be read."""

    def one(image: Listed) -> Fingerprint | str | None:
        if image.uri is None and image.data is None:
            return None
        try:
            return fingerprint(image.uri, image.data, all_views=all_views)
        except ImageError as error:
            return error.reason

    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for row, made in enumerate(pool.map(one, images)):
            if isinstance(made, Fingerprint):
                found[row] = made
            elif made is not None:
                audit.unread[made] = audit.unread.get(made, 0) + 1
    return found
