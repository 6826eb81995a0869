"""Large JSON files as a stream of decoded batches, in bounded memory.

A detection file is one object with a few huge arrays of records. This reader walks the object's members and
gives an array to the decoder a window at a time. Where to cut a window is guessed (the last `}, {"first key"`
in it) and then proved: a slice that starts at a record and parses as a JSON array can only end at the
end of a record. A guess that does not parse is replaced by an exact scan over strings and brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import fsspec
import msgspec

from relforge.stages.contract import SourceError

T = TypeVar("T")
S = TypeVar("S")

WINDOW = 4 << 20
"""Bytes read at a time; the largest single record may exceed it."""

_SPACE = b" \t\r\n"
_SKIP = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"((?:[^"\\]+|\\.)*)"', re.DOTALL)
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*("?)|[\[\]{}]', re.DOTALL)
_FIRST_KEY = re.compile(rb'\s*\{\s*("[^"\\]*")')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_GUESSES = 2


def decode_lenient(array: bytes) -> list[Any]:
    """Decode a JSON array as Python does, which takes `NaN` and `Infinity` too.

    A byte that is not UTF-8 becomes half a surrogate pair, so that only the text that holds it is no text.

    Raises:
        ValueError: the text is not one JSON array, or its lists and objects are nested too deeply.
    """
    try:
        found: list[Any] = json.loads(bytes(array).decode("utf-8", "surrogateescape"))
    except RecursionError as error:
        raise ValueError("its lists or objects are nested too deeply") from error
    return found


def decode_any(array: bytes) -> list[Any]:
    """Decode a JSON array of any records; fast where it is plain, and like `decode_lenient` where not."""
    try:
        found: list[Any] = msgspec.json.decode(array)
    except (ValueError, RecursionError):
        return decode_lenient(array)
    return found


@contextmanager
def open_source(path: str) -> Iterator[BinaryIO]:
    """An annotation file, local or any URI that fsspec opens, for reading bytes.

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        opened = fsspec.open(path, "rb").open()
    except OSError as error:
        raise SourceError(f"{path}: cannot read the annotation file ({error})") from error
    with opened as file:
        yield file


def _skim(array: bytes) -> list[Any]:
    try:
        return msgspec.json.decode(array, type=list[msgspec.Raw])
    except (ValueError, RecursionError):
        return decode_lenient(array)


class JsonStream:
    """One JSON file, read front to back once.

    Args:
        file: opened for reading bytes; local or any fsspec file.
        name: what errors call it.
        window: bytes read at a time.

    Raises:
        SourceError: the file is empty, truncated or malformed; the message names the byte nearby.
    """

    def __init__(self, file: BinaryIO, name: str, window: int = WINDOW) -> None:
        self._file = file
        self._name = name
        self._window = window
        self._buffer = bytearray(2 * window)
        self._at = 0
        self._end = 0  # of what was read
        self._base = 0  # file offset of the buffer's first byte
        self._ended = False

    def members(self) -> Iterator[str]:
        """The keys of the top-level object, in file order.

        At each key the caller may consume the value with `elements`; a value left alone is skipped.
        """
        if self._peek() != b"{":
            raise SourceError(
                f"{self._name}: expected a JSON object, found {self._peek()!r}; is it another format?"
            )
        self._at += 1
        while (mark := self._peek()) != b"}":
            if mark == b",":
                self._at += 1
                continue
            key = self._string()
            if self._peek() != b":":
                raise self._malformed(f"no ':' after {key!r}")
            self._at += 1
            self._peek()
            before = self._base + self._at
            yield key
            if self._base + self._at == before:
                self._skip_value()
        self._at += 1
        self.end()

    def end(self) -> None:
        """To be called behind the whole document.

        Raises:
            SourceError: something follows it.
        """
        while True:
            self._at = _SKIP.match(self._buffer, self._at, self._end).end()  # type: ignore[union-attr]
            if self._at < self._end:
                raise self._malformed("more stands behind the end of the document; is it JSON lines?")
            if not self._more():
                return

    def is_array(self) -> bool:
        """Whether the current value is an array."""
        return self._peek() == b"["

    def elements(
        self,
        decode: Callable[[bytes], T],
        scan: Callable[[memoryview], tuple[S, int]] | None = None,
    ) -> Iterator[T | S]:
        """The records of the current array, a window at a time.

        Args:
            decode: turns the bytes of a JSON array into a batch of records; raises ValueError where they
                are not exactly one JSON array.
            scan: a faster way for what it can read: from the beginning of a text a batch of whole records,
                with the bytes that they take up; 0 where it can read none, which `decode` then does.
        """
        if self._peek() != b"[":
            raise self._malformed("expected an array")
        self._at += 1
        mark = self._peek()
        while mark != b"]":
            while self._end - self._at < self._window and self._more():
                pass
            found = scan and self._scanned(scan)
            yield self._batch(decode) if found is None else found
            mark = self._peek()
            if mark != b"]":
                self._at += 1
                if mark != b"," or self._peek() in (b",", b"]"):
                    raise self._malformed("between two records there is one comma")
        self._at += 1

    def _scanned(self, scan: Callable[[memoryview], tuple[S, int]]) -> S | None:
        try:
            batch, length = scan(memoryview(self._buffer)[self._at : self._end])
        except ValueError:
            return None  # `decode` reports what is wrong
        self._at += length
        return batch if length else None

    def _batch(self, decode: Callable[[bytes], T]) -> T:
        for cut in self._guesses():
            try:
                batch = decode(b"[" + self._buffer[self._at : cut] + b"]")
            except ValueError:
                continue
            self._at = cut
            return batch
        cut = self._exact_cut()
        try:
            batch = decode(b"[" + self._buffer[self._at : cut] + b"]")
        except ValueError as error:
            raise self._malformed(str(error)) from error
        self._at = cut
        return batch

    def _guesses(self) -> Iterator[int]:
        """Offsets after which a record probably ends, last first."""
        first = _FIRST_KEY.match(self._buffer, self._at, self._end)
        end = self._end
        if first is None:
            return
        for _ in range(_GUESSES):
            end = self._buffer.rfind(first[1], first.end(), end)
            if end < 0:
                return
            at = end
            for expected in (0x7B, 0x2C, 0x7D):  # { , }
                at -= 1
                while self._buffer[at] in _SPACE:
                    at -= 1
                if self._buffer[at] != expected:
                    break
            else:
                yield at + 1

    def _exact_cut(self) -> int:
        """The offset after the last whole record in the buffer, reading on until there is one."""
        while True:
            depth, last = 0, -1
            for token in _TOKEN.finditer(self._buffer, self._at, self._end):
                mark = token[0]
                if mark in (b"[", b"{"):
                    depth += 1
                elif mark in (b"]", b"}"):
                    depth -= 1
                    if depth < 0:
                        return token.start()
                    if depth == 0:
                        last = token.end()
                elif not token[1]:
                    break  # the buffer ends inside this string
            if last >= 0:
                return last
            if not self._more():
                raise self._malformed("the file ends inside an array; was it cut short?")

    def _skip_value(self) -> None:
        mark = self._peek()
        if mark == b"[":
            for _ in self.elements(_skim):
                pass
        elif mark == b'"':
            self._string()
        elif mark == b"{":
            self._skip_object()
        else:
            while self._peek() not in (b",", b"}"):
                self._at += 1

    def _skip_object(self) -> None:
        while True:
            depth = 0
            for token in _TOKEN.finditer(self._buffer, self._at, self._end):
                mark = token[0]
                depth += (mark in (b"[", b"{")) - (mark in (b"]", b"}"))
                if depth == 0:
                    self._at = token.end()
                    return
                if mark[:1] == b'"' and not token[1]:
                    break
            if not self._more():
                raise self._malformed("the file ends inside an object; was it cut short?")

    def _string(self) -> str:
        while (found := _STRING.match(self._buffer, self._at, self._end)) is None:
            if not self._more():
                raise self._malformed("expected a key in quotes")
        self._at = found.end()
        try:
            return str(json.loads(found[0], strict=False))
        except ValueError as error:
            raise self._malformed(str(error)) from error

    def _peek(self) -> bytes:
        """The next byte that is not white space."""
        while True:
            self._at = _SKIP.match(self._buffer, self._at, self._end).end()  # type: ignore[union-attr]
            if self._at < self._end:
                return bytes(self._buffer[self._at : self._at + 1])
            if not self._more():
                raise self._malformed(
                    "the file ends early; was it cut short?" if self._base else "the file is empty"
                )

    def _more(self) -> bool:
        """Read one more window behind what is left; False at the end of the file."""
        if self._ended:
            return False
        left = self._buffer[self._at : self._end]
        if len(left) + self._window > len(self._buffer):
            self._buffer = bytearray(2 * (len(left) + self._window))
        self._buffer[: len(left)] = left
        fresh = self._file.readinto(memoryview(self._buffer)[len(left) : len(left) + self._window])  # type: ignore[attr-defined]
        first = self._base == 0 and self._end == 0
        self._base += self._at
        self._at, self._end = 0, len(left) + fresh
        if first and self._buffer.startswith(_UTF_16, 0, self._end):
            raise SourceError(f"{self._name}: the text is UTF-16; save it as UTF-8")
        if first and self._buffer.startswith(_BYTE_ORDER_MARK, 0, self._end):
            self._at = len(_BYTE_ORDER_MARK)
        self._ended = not fresh
        return not self._ended

    def _malformed(self, detail: str) -> SourceError:
        return SourceError(f"{self._name}: malformed JSON near byte {self._base + self._at}: {detail}")
