"""S3 with the fewest requests: what s3fs asks before it asks, and what its parser makes of a long listing."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from relforge.pipeline.store.files import Files

OPTIONS = {"max_concurrency": 1}
"""A larger number makes s3fs ask for the size before each read."""

_START, _END = b"<Contents>", b"</Contents>"
_FIELDS = [re.compile(rb"<%s>([^<]*)</%s>" % (name, name)) for name in (b"Key", b"ETag", b"Size")]
_OBJECTS = "RelforgeObjects"
_PAGE = 1000
"""Objects in an answer; S3 gives no more."""


class S3:
    """Calls of S3 through an `s3fs.S3FileSystem`, which authorises and repeats them.

    Args:
        fs: one that nobody else uses.
        bucket: its bucket.
    """

    def __init__(self, fs: Any, bucket: str) -> None:
        self._fs, self._bucket = fs, bucket
        self._connected = False

    def size(self, key: str) -> int:
        """Bytes of an object; FileNotFoundError when it is absent, without one for a folder so named."""
        size: int = self._fs.call_s3("head_object", Bucket=self._bucket, Key=key)["ContentLength"]
        return size

    def files(self, prefix: str) -> Files:
        """The objects right below a prefix that ends with a slash, or below the bucket for an empty one.

        Raises:
            FileNotFoundError: no such bucket.
        """
        self._connect()
        names: list[str] = []
        tags: list[str] = []
        sizes: list[int] = []
        more: dict[str, Any] = {"MaxKeys": _PAGE}
        while True:
            page = self._fs.call_s3(
                "list_objects_v2", Bucket=self._bucket, Prefix=prefix, Delimiter="/", **more
            )
            found = page.get(_OBJECTS) or _read_objects(page.get("Contents", []))
            names += found[0]
            tags += found[1]
            sizes += found[2]
            if not page.get("IsTruncated"):
                break
            more["ContinuationToken"] = page["NextContinuationToken"]
        kept = [at for at, name in enumerate(names) if name[len(prefix) :] and name[len(prefix)] != "."]
        return Files(
            pa.array([name[len(prefix) :] for name in names], pa.string()),
            pa.array(sizes, pa.int64()),
            pa.array(tags, pa.string()),
            pa.array([0] * len(names), pa.int64()),
        ).take(pa.array(kept, pa.int64()))

    def _connect(self) -> None:
        if self._connected:
            return
        from fsspec.asyn import sync

        self._fs.connect()
        # of a page of 1,000 objects botocore makes 1,000 dictionaries in 60 ms; here it is columns in 1 ms
        sync(self._fs.loop, self._fs.get_s3, self._bucket).meta.events.register(
            "before-parse.s3.ListObjectsV2", _take_objects, unique_id=_OBJECTS
        )
        self._connected = True


def _read_objects(contents: list[dict[str, Any]]) -> tuple[list[str], list[str], list[int]]:
    """Keys, ETags and sizes as botocore parses them."""
    return (
        [one["Key"] for one in contents],
        [one.get("ETag", "") for one in contents],
        [one["Size"] for one in contents],
    )


def _take_objects(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Take the objects out of a page before botocore parses it; nothing of one that looks different."""
    body = response_dict["body"]
    if response_dict["status_code"] >= 300:
        return
    start, end = body.find(_START), body.rfind(_END) + len(_END)
    objects, rest = (body[start:end], body[:start] + body[end:]) if 0 <= start < end else (b"", body)
    keys, tags, sizes = (field.findall(objects) for field in _FIELDS)
    same = len(keys) == len(tags) == len(sizes) == objects.count(_START) == objects.count(_END)
    if not same or b"Contents" in rest or b"<IsTruncated>" in objects or b"Token>" in objects:
        return
    names, etags = _texts(keys), _texts(tags)
    if not len(names) == len(etags) == len(keys):  # a name of several lines
        return
    if b"<EncodingType>url</EncodingType>" in rest:
        names = [unquote(name) if "%" in name else name for name in names]
    customized_response_dict[_OBJECTS] = names, etags, [int(size) for size in sizes]
    response_dict["body"] = rest


def _texts(values: list[bytes]) -> list[str]:
    """Texts of XML, decoded all at once."""
    if not values:
        return []
    return html.unescape(b"\n".join(values).decode().replace("&quot;", '"')).split("\n")
