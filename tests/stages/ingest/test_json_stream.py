"""A JSON file of any shape, read a few bytes at a time, gives what json.loads gives."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relforge.stages.contract import SourceError
from relforge.stages.ingest.json_stream import JsonStream, decode_lenient

scalars = st.none() | st.booleans() | st.integers(-9, 10**9) | st.text(alphabet='ab"\\{}[],: é\n', max_size=8)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.sampled_from("abid"), v, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(st.sampled_from(["id", "bbox", "note"]), values, max_size=3)
documents = st.dictionaries(
    st.text(alphabet='xy"\\]', max_size=3), st.lists(records, max_size=9) | values, max_size=4
)


def read(text: str, window: int = 16) -> dict[str, list[object]]:
    """Every top-level array of the file."""
    stream = JsonStream(io.BytesIO(text.encode()), "file.json", window)
    return {
        key: [record for batch in stream.elements(decode_lenient) for record in batch]
        for key in stream.members()
        if stream.is_array()
    }


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 60), st.sampled_from([None, 1]), st.booleans())
def test_arrays_come_back_whole_whatever_the_window_cuts_through(document, window, indent, ascii_only):
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)

    found = read(text, window)

    assert found == {key: value for key, value in document.items() if isinstance(value, list)}


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 60))
def test_members_nobody_asks_for_are_skipped(document, window):
    stream = JsonStream(io.BytesIO(json.dumps(document).encode()), "file.json", window)

    assert list(stream.members()) == list(document)


def test_text_that_looks_like_the_end_of_a_record_does_not_cut_it():
    document = {"a": [{"id": 1, "note": 'x}, {"id": 7, "b": [1'}, {"id": 2, "note": "}, {"}, {"id": 3}]}

    assert read(json.dumps(document), window=40) == document


def test_records_larger_than_the_window_are_read_whole():
    document = {"a": [{"id": 1, "points": list(range(500))}, {"id": 2}]}

    assert read(json.dumps(document), window=8) == document


def test_a_byte_order_mark_is_ignored():
    assert read("\ufeff" + '{"a": [{"id": 1}]}') == {"a": [{"id": 1}]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("[1, 2]", "expected a JSON object"),
        ('{"a": [{"id": 1}, {"id"', "cut short"),
        ('{"a": {"b": 1', "cut short"),
        ('{"a": [{"id": 1} {"id": ]}', "malformed JSON near byte"),
        ('{"a" [1]}', "no ':' after 'a'"),
    ],
)
def test_a_broken_file_is_one_sentence_that_names_it(text, says):
    with pytest.raises(SourceError, match=rf"file\.json.*{says}"):
        read(text)
