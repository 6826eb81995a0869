"""Images are prepared in threads ahead of the consumer, and arrive in table order."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest

from relforge.images import ImageError
from relforge.images.prefetch import prefetch


def table(count: int) -> pa.Table:
    return pa.table({"image_id": [f"i{n}" for n in range(count)], "uri": [str(n) for n in range(count)]})


def test_results_come_in_table_order_whatever_finishes_first() -> None:
    def prepare(uri: str) -> int:
        time.sleep(0.02 if int(uri) % 3 == 0 else 0)
        return int(uri)

    assert list(prefetch(table(20), ("uri",), prepare, 4)) == [(f"i{n}", n) for n in range(20)]


def test_an_image_error_is_a_result_and_any_other_error_is_raised() -> None:
    def prepare(uri: str) -> str:
        if uri == "1":
            raise ImageError("truncated", "cut at byte 7")
        if uri == "3":
            raise OSError("no route to host")
        return uri

    results = prefetch(table(5), ("uri",), prepare, 2)

    assert next(results) == ("i0", "0")
    image_id, error = next(results)
    assert image_id == "i1"
    assert isinstance(error, ImageError)
    assert error.reason == "truncated"
    assert next(results) == ("i2", "2")
    with pytest.raises(OSError, match="no route to host"):
        next(results)


def test_threads_work_a_bounded_number_of_images_ahead() -> None:
    lock, prepared = threading.Lock(), []

    def prepare(uri: str) -> str:
        with lock:
            prepared.append(uri)
        return uri

    results = prefetch(table(100), ("uri",), prepare, 2)
    next(results)
    time.sleep(0.1)

    assert len(prepared) <= 4 * 2 + 1
    results.close()  # type: ignore[attr-defined]
    assert len(prepared) <= 4 * 2 + 1


def test_columns_are_the_arguments_in_their_order() -> None:
    images = pa.table({"image_id": ["a"], "width": [4], "uri": ["u"]})
    results = prefetch(images, ("uri", "width"), lambda uri, width: (uri, width), 1)
    assert list(results) == [("a", ("u", 4))]
