"""What is to be said of the options of a constructor: from its signature, its docstring and its class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib import import_module
from typing import Any

from relforge.pipeline.config.options import parameters

_ENTRY = re.compile(r"(\*{0,2}\w+(?:(?:,| /) \*{0,2}\w+)*): *(.*)")
_SEE = re.compile(r"(?:default(?:s)?: )?see `([\w.]+)`")
_SAME = re.compile(r"arguments\s+are `(\w+)`'s")
_SECTIONS = ("Raises:", "Returns:", "Yields:")
_UNITS = (
    ("pixels", r"\bpixels?\b"),
    ("seconds", r"\bseconds?\b"),
    ("minutes", r"\bminutes?\b"),
    ("bytes", r"\bbytes?\b|MiB"),
    ("probability", r"\bprobabilit|\bconfidence|\bscores?\b|\bthreshold\b"),
    ("share, 0 to 1", r"\bshare\b|\bfraction\b"),
    ("tokens", r"\btokens?\b"),
    ("captions", r"\bcaptions?\b"),
    ("steps", r"\bsteps?\b"),
    ("images", r"\bimages?\b"),
    ("boxes", r"\bboxes?\b"),
    ("pairs", r"\bpairs?\b"),
)
_ELSEWHERE = {
    "CocoSource": "relforge.stages.ingest.coco:CocoSource",
    "VisualGenomeSource": "relforge.stages.ingest.visual_genome:VisualGenomeSource",
    "ImageFiles": "relforge.stages.ingest.image_files:ImageFiles",
    "Nucleus": "relforge.models.blip.settings:Nucleus",
    "PredicatePolicy": "relforge.stages.parse.policy:PredicatePolicy",
    "policy.PredicatePolicy": "relforge.stages.parse.policy:PredicatePolicy",
}
"""What a docstring refers to by name -> where its arguments are described."""
_RENAMED = {"require_images": "require", "embed_images": "embed", "root": "images"}


@dataclass(frozen=True)
class Option:
    """An option as its reference lists it.

    Args:
        name: as a config writes it.
        type: as the constructor states it.
        default: as Python writes it; None where it has to be given.
        unit: of a number, where its description names one.
        meaning: its description.
        cost: what changing it costs: `nothing` is redone, or the stage is.
        source: `module:attribute` that takes it.
    """

    name: str
    type: str
    default: str | None
    unit: str
    meaning: str
    cost: str
    source: str


def describe_options(
    target: Callable[..., Any], name: str, internal: dict[str, str] | None = None, cost: str = "redoes it"
) -> list[Option]:
    """The options that a registry's entry takes, in the order of its signature; needed ones first.

    Args:
        target: what `module:attribute` led to: a class, a function or a `Backend`.
        name: `module:attribute`.
        internal: option -> the field of the config that sets it unless it is written.
        cost: of an option that is not among the neutral ones.
    """
    parts = [target.part, target.stage] if hasattr(target, "stage") and hasattr(target, "part") else [target]
    meanings: dict[str, str] = {}
    neutral: set[str] = set()
    for part in reversed(parts):
        meanings |= read_meanings(part)
        neutral |= set(getattr(part, "neutral_options", ()) if inspect.isclass(part) else ())
        if "threads" in meanings and hasattr(target, "stage"):
            neutral.add("threads")
    found = []
    for option in _signature(target, parts):
        set_by = (internal or {}).get(option.name, "")
        redone = "redoes nothing" if option.name in neutral else cost
        meaning = meanings.get(option.name, "")
        if set_by:
            meaning = f"{meaning or 'Of the run'}{'' if meaning.endswith('.') else '.'} Set by `{set_by}`."
        stated = str(option.annotation) if option.annotation is not option.empty else ""
        default = None if option.default is option.empty else _show(option.default)
        unit = _unit(stated, meaning)
        found.append(Option(option.name, _plain(stated), default, unit, meaning, redone, name))
    return sorted(found, key=lambda one: one.default is not None)


def describe_fields(kind: type, prefix: str = "", cost: str = "trains anew") -> list[Option]:
    """The fields of a dataclass (settings of a recipe) or of a pydantic model (a section of a config)."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    meanings = read_meanings(kind)
    neutral = getattr(kind, "neutral_options", ())
    found = []
    for field, annotation, default in _fields(kind):
        meaning, own = meanings.get(field, ""), "redoes nothing" if field in neutral else cost
        unit = _unit(annotation, meaning)
        found.append(Option(f"{prefix}{field}", annotation, default, unit, meaning, own, name))
    return found


def _fields(kind: type) -> Iterator[tuple[str, str, str | None]]:
    if is_dataclass(kind):
        for field in fields(kind):
            made = field.default_factory is not MISSING
            default = None if field.default is MISSING and not made else _show(field.default)
            value = field.default_factory() if field.default_factory is not MISSING else None
            shown = ("its fields' defaults" if is_dataclass(value) else _show(value)) if made else default
            yield field.name, _plain(str(field.type)), shown
        return
    for field_name, one in kind.model_fields.items():  # type: ignore[attr-defined]
        annotation = _plain(str(inspect.get_annotations(kind).get(field_name, one.annotation)))
        is_part = hasattr(one.default, "model_fields")
        default = "its fields' defaults" if is_part else _show(one.default)
        yield field_name, annotation, None if one.is_required() else default


def read_meanings(target: object) -> dict[str, str]:
    """Option -> its description in the section `Args:` of a docstring; one that refers to another class is
    looked up there."""
    found: dict[str, str] = {}
    text = inspect.cleandoc(getattr(target, "__doc__", None) or "")
    if whose := _SAME.search(text):
        module, _, attribute = _ELSEWHERE[whose[1]].partition(":")
        found |= read_meanings(getattr(import_module(module), attribute))
    for name, meaning in _entries(text):
        reference = _SEE.match(meaning)
        if reference and reference[1] in _ELSEWHERE:
            module, _, attribute = _ELSEWHERE[reference[1]].partition(":")
            elsewhere = read_meanings(getattr(import_module(module), attribute))
            meaning = elsewhere.get(_RENAMED.get(name, name), meaning)
        found[name] = meaning
    return found


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """(name, description) of every argument of a docstring."""
    lines = iter(text.split("\n"))
    for line in lines:
        if line.strip() == "Args:":
            break
    names: list[str] = []
    words: list[str] = []
    margin: int | None = None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if line.strip() in _SECTIONS or (line.strip() and margin is not None and depth < margin):
            break
        if not line.strip():
            continue
        margin = depth if margin is None else margin
        entry = _ENTRY.fullmatch(line.strip()) if depth == margin else None
        if entry:
            yield from ((name, " ".join(words)) for name in names)
            names, words = re.split(r", | / ", entry[1]), [entry[2]]
        else:
            words.append(line.strip())
    yield from ((name, " ".join(words)) for name in names)


def _signature(target: Callable[..., Any], parts: list[Any]) -> list[inspect.Parameter]:
    taken, _ = parameters(target)
    return [one for name, one in inspect.signature(target).parameters.items() if name in taken]


def _show(value: object) -> str:
    if callable(value):
        return getattr(value, "__name__", "a function")
    if isinstance(value, tuple):
        return repr(list(value))
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(annotation: str) -> str:
    text = re.sub(r"<class '([\w.]+)'>", r"\1", annotation).replace("typing.", "")
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def _unit(annotation: str, meaning: str) -> str:
    """The first unit that the description of a number names."""
    if not re.search(r"\b(?:int|float)\b", annotation):
        return ""
    return next((unit for unit, pattern in _UNITS if re.search(pattern, meaning)), "")
