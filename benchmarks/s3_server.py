"""A small S3 server in memory, for folders of more objects than moto can list.

    python benchmarks/s3_server.py --shards 200000

It answers ListObjectsV2 (delimiter `/`, objects right below the prefix), GET (with ranges), HEAD,
PUT and DELETE, checks no signature and counts requests: `GET /-/counts` returns the counts since the last
time, `POST /-/compact` brings the manifests of the run folder up to date without a request, and
`POST /-/forget` deletes them. With `--shards` it begins with a finished run folder of so many.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from relforge.pipeline.store.files import Files
from relforge.pipeline.store.storage import Stat

BUCKET = "relforge"
PLACE = f"s3://{BUCKET}/run"
_QUOTES = {'"': "&quot;"}


class Objects:
    """The objects of a bucket: key -> content and ETag, and the names in each folder, sorted."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, str]] = {}
        self.names: defaultdict[str, list[str]] = defaultdict(list)

    def put(self, key: str, data: bytes) -> str:
        folder, _, name = key.rpartition("/")
        if key not in self.held:
            names = self.names[folder]
            if names and name < names[-1]:
                insort(names, name)
            else:
                names.append(name)
        tag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        self.held[key] = data, tag
        return tag

    def delete(self, key: str) -> None:
        if self.held.pop(key, None):
            folder, _, name = key.rpartition("/")
            self.names[folder].remove(name)

    def page(self, prefix: str, after: str, count: int) -> tuple[list[str], bool]:
        """Keys right below a prefix that ends with a slash, after a name, and whether there are more."""
        folder = prefix.removesuffix("/")
        names = self.names.get(folder, [])
        first = bisect_right(names, after) if after else 0
        return [prefix + name for name in names[first : first + count]], first + count < len(names)


class ObjectsStorage:
    """A run folder in the objects of this process, without requests: for the benchmark to write it."""

    def __init__(self, objects: Objects) -> None:
        self.root, self._objects = PLACE, objects

    def read(self, path: str) -> bytes:
        try:
            return self._objects.held[f"run/{path}"][0]
        except KeyError:
            raise FileNotFoundError(path) from None

    def read_end(self, path: str, count: int) -> bytes:
        return self.read(path)[-count:]

    def stage(self, path: str, data: bytes, check: Callable[[bytes], None] | None = None) -> Put:
        return Put(self, path, data)

    def write(self, path: str, data: bytes, *, durable: bool = True, private: bool = False) -> None:
        self._objects.put(f"run/{path}", data)

    def files(self, folder: str) -> Files:
        place = f"run/{folder}" if folder else "run"
        held = ((name, *self._objects.held[f"{place}/{name}"]) for name in self._objects.names.get(place, []))
        return Files.of((name, Stat(len(data), tag)) for name, data, tag in held)

    def listing(self, folder: str) -> dict[str, Stat]:
        return self.files(folder).stats()

    def size(self, path: str) -> int | None:
        held = self._objects.held.get(f"run/{path}")
        return None if held is None else len(held[0])

    def delete(self, path: str) -> None:
        self._objects.delete(f"run/{path}")

    def lock(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def delete_orphans(self, folder: str) -> int:
        return 0


class Put:
    """A write of `ObjectsStorage`."""

    modified = ""

    def __init__(self, storage: ObjectsStorage, path: str, data: bytes) -> None:
        self._rest = storage, path, data

    def publish(self) -> None:
        storage, path, data = self._rest
        storage.write(path, data)

    def discard(self) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    """One request of S3."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20
    objects: Objects
    counts: Counter[str]

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        if bucket == "-":
            found = json.dumps(self.counts).encode()
            self.counts.clear()
            return self._answer(200, found)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "list-type" in query:
            self.counts["LIST"] += 1
            return self._answer(200, b"".join(self._page(query)), {"Content-Type": "application/xml"})
        self.counts[self.command] += 1
        if key not in self.objects.held:
            return self._absent()
        data, tag = self.objects.held[key]
        status, size = 200, len(data)
        if (asked := self.headers.get("Range")) and data:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            data = data[int(start) : int(end) + 1 if end else None] if start else data[-int(end) :]
            status = 206
        headers = {"ETag": tag, "Last-Modified": "Sun, 29 Nov 2026 10:00:00 GMT"}
        if self.command == "HEAD":
            return self._answer(status, b"", headers, size)
        return self._answer(status, data, headers)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.counts["PUT"] += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            body = b"".join(_chunks(body))
        key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        self._answer(200, b"", {"ETag": self.objects.put(key, body)})

    def do_DELETE(self) -> None:
        self.counts["DELETE"] += 1
        self.objects.delete(unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2])
        self._answer(204, b"")

    def do_POST(self) -> None:
        from relforge.pipeline.run.plan import load_plan
        from relforge.pipeline.store.compaction import compact
        from relforge.pipeline.store.manifest import manifest_path
        from relforge.pipeline.store.run_folder import RunFolder

        folder = RunFolder(PLACE, ObjectsStorage(self.objects))
        tables = load_plan(folder).tables
        if self.path == "/-/compact":
            compact(folder, tables)
        else:
            for table in tables:
                folder.storage.delete(manifest_path(table))
        self._answer(200, b"")

    def _page(self, query: dict[str, str]) -> Iterator[bytes]:
        limit = int(query.get("max-keys", 1000))
        keys, more = self.objects.page(query.get("prefix", ""), query.get("continuation-token", ""), limit)
        yield b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><EncodingType>url</EncodingType>'
        yield f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>".encode()
        if more:
            yield f"<NextContinuationToken>{keys[-1].rpartition('/')[2]}</NextContinuationToken>".encode()
        for key in keys:
            data, tag = self.objects.held[key]
            yield (
                f"<Contents><Key>{quote(key)}</Key><LastModified>2026-11-29T10:00:00.000Z</LastModified>"
                f"<ETag>{escape(tag, _QUOTES)}</ETag><Size>{len(data)}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            ).encode()
        yield b"</ListBucketResult>"

    def _absent(self) -> None:
        body = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
        self._answer(404, b"" if self.command == "HEAD" else body)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _chunks(body: bytes) -> Iterator[bytes]:
    """The content of a body in chunks with signatures or a checksum at its end."""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            return
        yield body[:size]
        body = body[size + 2 :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", type=int, default=0)
    options = parser.parse_args()
    Handler.objects, Handler.counts = Objects(), Counter()
    if options.shards:
        sys.path.insert(0, str(Path(__file__).parent))
        from cluster import write_folder

        from relforge.pipeline.store.run_folder import RunFolder

        write_folder(RunFolder(PLACE, ObjectsStorage(Handler.objects)), options.shards)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
