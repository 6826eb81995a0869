"""Captions without markup and invisible characters: the words a person would read."""

from __future__ import annotations

import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);?")
_BREAKING_TAG = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->", re.DOTALL)
_LINE_BREAK = re.compile(r"\s*(?:[\u2028\u2029\x0b\x0c\x85]|(?:\r?\n[^\S\r\n]*){2,})\s*")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufffd]"
    "|(?<=[A-Za-z])[\u200c\u200d](?=[A-Za-z])"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_COMBINING = re.compile("[\u0300-\u036f]+")
_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u0060\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
)


def clean(text: str) -> tuple[str, list[str]]:
    """The caption with entities resolved, tags and invisible characters removed, letters composed, quotes
    straight and white space single; explicit line separators, empty lines and `<br>` end a sentence.

    Returns:
        the text, and what was there, for the count: `html`, `line_separator`, `invisible`, `lone_surrogate`,
        `control`, `combining_mark`, `quotes`. White space alone is not counted.
    """
    if text.isascii() and "&" not in text and "<" not in text and text.isprintable():
        return " ".join(text.replace("`", "'").split()), []
    found: list[str] = []

    def step(kind: str, changed: str) -> None:
        nonlocal text
        if changed != text:
            text = changed
            found.append(kind)

    step("lone_surrogate", _SURROGATE.sub("", text))
    once = _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
    once = _TAG.sub("", _BREAKING_TAG.sub("\u2028", once))
    step("html", once)
    text = text.strip()
    step("line_separator", _LINE_BREAK.sub(_end_sentence, text))
    step("invisible", _INVISIBLE.sub("", text))
    step("control", _CONTROL.sub(" ", text))
    step("combining_mark", _COMBINING.sub("", unicodedata.normalize("NFC", text)))
    step("quotes", text.translate(_QUOTES))
    return " ".join(text.split()), sorted(set(found))


def _end_sentence(match: re.Match[str]) -> str:
    before = match.string[: match.start()].rstrip()
    return " " if not before or before[-1] in ".!?;:," else ". "
