"""What is asked: texts with places for the pair, built in under an id, or a file of the user's own."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"
NEXT = "---"
"""A line of this alone separates the question of the first pass from that of the second, and so on."""
MAX_CHARACTERS = 32_000

_PAIR = frozenset(["subject", "object", "a_subject", "a_object", "the_subject", "the_object"])
PLACES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "judge": (_PAIR | {"predicate"}, frozenset(["predicate"])),
    "statement": (_PAIR | {"predicate"}, frozenset(["predicate"])),
    "propose": (frozenset(["boxes", "known"]), frozenset(["boxes"])),
    "caption_pair": (_PAIR, frozenset()),
    "caption": (frozenset(), frozenset()),
}
"""role -> (places that a prompt may have, those that each of its passes must have).

`subject` is the class ("person"), `a_subject` has its article ("a person"), `the_subject` says which one is
meant ("the person on the left", with coordinates where the model reads them). `boxes` is a numbered list,
`known` the relations of earlier passes.
"""


class PromptError(ValueError):
    """A prompt that cannot be used, in one sentence with file, place and fix."""


@dataclass(frozen=True)
class Prompt:
    """A checked prompt.

    Args:
        name: as the user gave it: `judge/1`, or a path.
        text: of the file, whole; what the hash is of.
        passes: the texts with places, one per question.
    """

    name: str
    text: str
    passes: tuple[str, ...]

    @property
    def hash(self) -> str:
        """sha256 of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def fill(self, words: Mapping[str, str], number: int = 0) -> str:
        """The question with its places filled in.

        Args:
            words: place -> words; those that the prompt does not use are ignored.
            number: of the pass.
        """
        return self.passes[number].format_map(words)


def prompt_path(name: str) -> Path:
    """File of a prompt: `judge/1` is built in, anything else is a path.

    Raises:
        PromptError: there is no such prompt.
    """
    built_in = FOLDER / f"{name}.txt"
    if name in list_prompts():
        return built_in
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(list_prompts())
        raise PromptError(f"prompt {name!r}: neither a file nor built in ({known})")
    return path


def list_prompts() -> list[str]:
    """Ids of the built-in prompts."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob("*/*.txt"))


def load_prompt(name: str, role: str) -> Prompt:
    """Read and check a prompt.

    Args:
        name: a built-in id such as `judge/1`, or the path of a file.
        role: a key of `PLACES`.

    Raises:
        PromptError: no such prompt, or it is not one for this role.
    """
    path = prompt_path(name)
    try:
        text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n").strip()
    except UnicodeDecodeError as error:
        raise PromptError(f"prompt {path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if len(text) > MAX_CHARACTERS:
        raise PromptError(f"prompt {path}: {len(text)} characters; use {MAX_CHARACTERS} at most")
    passes = _split(text)
    may, must = PLACES[role]
    for number, one in enumerate(passes):
        if not one:
            raise PromptError(f"prompt {path}: its question {number + 1} is empty; write one")
        found = _places(one, path)
        if surplus := sorted(found - may):
            allowed = ", ".join(f"{{{place}}}" for place in sorted(may)) or "no place at all"
            raise PromptError(
                f"prompt {path}: {{{surplus[0]}}} is no place of a {role} prompt; use {allowed}"
            )
        if missing := sorted(must - found):
            raise PromptError(f"prompt {path}: it lacks {{{missing[0]}}}, which a {role} prompt needs")
    if len(passes) > 1 and role != "propose":
        raise PromptError(f"prompt {path}: a {role} prompt has one question; remove the line {NEXT!r}")
    return Prompt(name, text, tuple(passes))


def _split(text: str) -> list[str]:
    passes: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip() == NEXT:
            passes.append([])
        else:
            passes[-1].append(line)
    return ["\n".join(lines).strip() for lines in passes]


def _places(text: str, path: Path) -> set[str]:
    """Names between braces; a file of somebody else's can reach no attribute through them."""
    found = set()
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise PromptError(f"prompt {path}: {error}; write braces that are no place twice") from None
    for _, place, form, conversion in parts:
        if place is None:
            continue
        if form or conversion or not place.isidentifier():
            raise PromptError(
                f"prompt {path}: {{{place}}} is no place; write {{name}} alone, {{{{ for a brace"
            )
        found.add(place)
    return found
