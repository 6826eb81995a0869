"""What is wrong with a caption, if anything: the reason it is counted and, by default, left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

REASONS = ("empty", "prompt_echo", "repeated_ngram", "non_ascii")


def check_reasons(drop: Collection[str]) -> None:
    """Refuse reasons that no caption can have, naming those there are.

    Raises:
        ValueError: some are not in `REASONS`.
    """
    if unknown := sorted(set(drop) - set(REASONS)):
        raise ValueError(f"drop: unknown reasons {unknown}; choose from {', '.join(REASONS)}")


def find_fault(text: str, prompt: str = "a picture of ") -> str | None:
    """The first of `REASONS` that applies, or None for a sound caption.

    * `empty`: no letter or digit.
    * `prompt_echo`: the model repeats the prompt ("a picture of a picture of"), or wrote nothing else.
    * `repeated_ngram`: a word three times running, or a run of two or more words at once again ("a dog and a
      dog and a dog": the loop greedy and small models fall into).
    * `non_ascii`: letters of another script than the Latin one, which neither the parser nor the vocabulary
      knows. Letters with accents ("café"), curly quotes and other marks are sound.

    Args:
        text: the caption, prompt removed.
        prompt: the words every caption started with.
    """
    words = re.findall(r"\w+", text.lower())
    if not words:
        return "empty"
    given = re.findall(r"\w+", prompt.lower())
    if given and (words[: len(given)] == given or words == given[: len(words)]):
        return "prompt_echo"
    if _has_loop(words):
        return "repeated_ngram"
    return "non_ascii" if _has_other_script(text) else None


def _has_other_script(text: str) -> bool:
    if text.isascii():
        return False
    letters = (letter for letter in text if letter.isalpha() and not letter.isascii())
    return any("LATIN" not in unicodedata.name(letter, "") for letter in letters)


def _has_loop(words: list[str]) -> bool:
    for size in range(1, len(words) // 2 + 1):
        times = 3 if size == 1 else 2  # "very very tall" is English
        for start in range(len(words) - size * times + 1):
            unit = words[start : start + size]
            if words[start : start + size * times] == unit * times:
                return True
    return False
