"""Which classes the two ends of every triplet name: the two methods, as arrays.

`boundary` matches every distinct noun phrase once (`phrases.PhraseMatcher`) and then keeps the classes
that have boxes in the image. `substring` is the published rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.class_names import class_key
from relforge.stages.match.context import is_contained, is_drinkware, is_eyewear
from relforge.stages.match.counts import read_count
from relforge.stages.match.pairs import BoxIndex
from relforge.stages.match.phrases import QUANTITY_NOUNS, Hit, PhraseMatcher, is_quantity
from relforge.stages.match.references import resolve_references
from relforge.stages.match.vocabulary import Vocabulary
from relforge.stages.match.words import words

METHODS = ("boundary", "substring")
RULES = ("head", "compound", "of", "suffix", "hypernym", "substring")
RULE_PAIRS = pa.array([f"{subject}|{object_}" for subject in RULES for object_ in RULES])
_HYPERNYM = RULES.index("hypernym")


@dataclass(frozen=True)
class Ends:
    """Classes of one end of the triplets: parallel arrays sorted by triplet row."""

    triplet: np.ndarray
    category: np.ndarray
    rule: np.ndarray


@dataclass(frozen=True)
class Named:
    """Both ends, and per triplet what decides the reason for which it is dropped (bool arrays), and how many
    things its phrases speak of (`counts.read_count`)."""

    subjects: Ends
    objects: Ends
    subject_count: np.ndarray
    object_count: np.ndarray
    subject_known: np.ndarray
    object_known: np.ndarray
    quantity: np.ndarray
    content: np.ndarray


def name_by_boundary(
    triplets: pa.Table, image: np.ndarray, code: dict[str, int], boxes: BoxIndex, matcher: PhraseMatcher
) -> Named:
    """Whole words, head noun first; quantities resolved; classes that have boxes in the image."""
    subject, object_, phrases = _phrases(triplets)
    subject, object_ = resolve_references(triplets, image, subject, object_, [text for text, _, _ in phrases])
    counts = _count(phrases)
    counted = counts[subject], counts[object_]
    hits = [matcher.match(*phrase) for phrase in phrases]

    # "a group of people riding bikes": what "a group" does, the people do
    heads = [is_quantity(_head_word(phrase)) for phrase in phrases]
    of = pc.equal(pc.utf8_lower(triplets["predicate_lemma"]), "of").to_numpy(zero_copy_only=False)
    quantity = of & np.array(heads, bool)[subject] if len(subject) else np.zeros(0, bool)
    subject, object_ = _resolve(triplets, image, quantity, subject, object_)

    eyewear = _find_eyewear(triplets, subject, object_, phrases, hits)
    names = {code for code, found in enumerate(hits) if any(is_drinkware(hit.category) for hit in found)}
    for row in np.flatnonzero(eyewear & np.isin(object_, list(names))):
        hits.append([hit for hit in hits[object_[row]] if not is_drinkware(hit.category)])
        object_[row] = len(hits) - 1
    subjects, subject_known = _find_ends(subject, hits, code, image, boxes, ~quantity)
    objects, object_known = _find_ends(object_, hits, code, image, boxes, ~quantity)
    objects, content = _leave_out_content(triplets, subjects, objects)
    return Named(subjects, objects, *counted, subject_known, object_known, quantity, content)


def name_by_substring(
    triplets: pa.Table,
    image: np.ndarray,
    categories: list[str],
    box_image: np.ndarray,
    box_category: np.ndarray,
    table: Vocabulary,
    original_names: bool,
) -> Named:
    """The published rule: a class is named when one of its synonyms is a substring of the lower-cased
    phrase; of the image's classes (all annotation rows, crowds included, in order of first appearance)
    the last one counts."""
    pairs = box_image * max(len(categories), 1) + box_category
    distinct, first = np.unique(pairs, return_index=True)
    order = first.astype(np.int64)  # boxes are sorted by (image, box_id): annotation order
    names = [
        [category.casefold()] if original_names else table.published_synonyms(category)
        for category in categories
    ]
    subject, object_, phrases = _phrases(triplets)
    named = [
        np.array(
            [c for c, synonyms in enumerate(names) if any(s in text.lower() for s in synonyms)], np.int64
        )
        for text, _, _ in phrases
    ]

    def last_named(phrase: np.ndarray) -> tuple[Ends, np.ndarray]:
        row, category = _explode(phrase, named)
        key = image[row] * max(len(categories), 1) + category
        at = np.searchsorted(distinct, key)
        at[at == len(distinct)] = 0
        present = distinct[at] == key if len(distinct) else np.zeros(len(key), bool)
        row, category, rank = row[present], category[present], order[at[present]]
        by_rank = np.lexsort((rank, row))
        row, category = row[by_rank], category[by_rank]
        last = np.ones(len(row), bool)
        last[:-1] = row[1:] != row[:-1]
        known = np.zeros(len(phrase), bool)
        known[row] = True
        rules = np.full(int(last.sum()), RULES.index("substring"), np.int64)
        return Ends(row[last], category[last], rules), known

    subjects, subject_known = last_named(subject)
    objects, object_known = last_named(object_)
    counts = _count(phrases)
    nothing = np.zeros((2, len(subject)), bool)
    return Named(subjects, objects, counts[subject], counts[object_], subject_known, object_known, *nothing)


def _find_eyewear(
    triplets: pa.Table,
    subject: np.ndarray,
    object_: np.ndarray,
    phrases: list[tuple[str, str, str]],
    hits: list[list[Hit]],
) -> np.ndarray:
    """Triplets whose object is glasses that are worn."""
    glasses = [code for code, phrase in enumerate(phrases) if "glass" in phrase[0].lower()]
    found = np.zeros(len(object_), bool)
    for row in np.flatnonzero(np.isin(object_, glasses)):
        person = any(class_key(hit.category) == "person" for hit in hits[subject[row]])
        lemma = triplets["predicate_lemma"][int(row)].as_py()
        found[row] = is_eyewear(person, lemma, phrases[object_[row]][0])
    return found


def _leave_out_content(triplets: pa.Table, subjects: Ends, objects: Ends) -> tuple[Ends, np.ndarray]:
    """Objects without those that have a class with their subject in common where one is the content of the
    other: wine and its glass are one wine glass, not two. And, per triplet, whether it is such a one."""
    content = np.zeros(triplets.num_rows, bool)
    classes = int(max(subjects.category.max(initial=0), objects.category.max(initial=0))) + 1
    both = np.isin(
        objects.triplet * classes + objects.category, subjects.triplet * classes + subjects.category
    )
    columns = [triplets[name] for name in ("subject_head", "predicate_lemma", "object_head")]
    for at in np.flatnonzero(both).tolist():
        row = int(objects.triplet[at])
        if is_contained(*(column[row].as_py() for column in columns)):
            content[row] = True
    keep = ~content[objects.triplet]
    return Ends(objects.triplet[keep], objects.category[keep], objects.rule[keep]), content


def _phrases(triplets: pa.Table) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str, str]]]:
    """Code of every subject and object phrase, and the distinct (text, head, lemma)."""
    columns = [
        pc.binary_join_element_wise(triplets[end], triplets[f"{end}_head"], triplets[f"{end}_lemma"], "\x1f")
        for end in ("subject", "object")
    ]
    encoded = pa.concat_arrays(
        [chunk for column in columns for chunk in column.chunks] or [pa.array([], pa.string())]
    )
    encoded = encoded.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    distinct = [tuple(text.split("\x1f")) for text in encoded.dictionary.to_pylist()]
    count = triplets.num_rows
    return codes[:count], codes[count : 2 * count], distinct


def _count(phrases: list[tuple[str, str, str]]) -> np.ndarray:
    return np.array([read_count(text, head, QUANTITY_NOUNS) for text, head, _ in phrases], np.int64)


def _head_word(phrase: tuple[str, str, str]) -> str:
    head = words(phrase[1]) or words(phrase[0])
    return head[-1] if head else ""


def _resolve(
    triplets: pa.Table, image: np.ndarray, quantity: np.ndarray, subject: np.ndarray, object_: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Replace a quantity phrase by the object of its own `of` triplet, within the same caption."""
    rows = np.flatnonzero(quantity)
    if not len(rows):
        return subject, object_
    caption = triplets["caption_id"].to_numpy().astype(np.int64)
    meaning = {(image[r], caption[r], subject[r]): object_[r] for r in rows}
    phrases = np.unique(subject[rows])
    subject, object_ = subject.copy(), object_.copy()
    for end in (subject, object_):
        for row in np.flatnonzero(np.isin(end, phrases)):
            end[row] = meaning.get((image[row], caption[row], end[row]), end[row])
    return subject, object_


def _find_ends(
    phrase: np.ndarray,
    hits: list[list[Hit]],
    code: dict[str, int],
    image: np.ndarray,
    boxes: BoxIndex,
    wanted: np.ndarray,
) -> tuple[Ends, np.ndarray]:
    """Explode phrases to their classes, keep those with boxes in the image; whether any class is named.

    Of hits at several levels, those of the lowest that counts in the image (`phrases.Hit`).
    """
    classes = [np.array([code[hit.category] for hit in found], np.int64) for found in hits]
    rules = [np.array([RULES.index(hit.rule) for hit in found], np.int64) for found in hits]
    row, category = _explode(phrase, classes)
    _, rule = _explode(phrase, rules)
    _, level = _explode(phrase, [np.array([hit.level for hit in found], np.int64) for found in hits])
    _, local = _explode(phrase, [np.array([hit.local for hit in found], np.int64) for found in hits])
    here = boxes.find(image[row], category)[1] > 0
    counts = here | (local == 0)
    lowest = np.full(len(phrase), np.iinfo(np.int64).max)
    np.minimum.at(lowest, row[counts], level[counts])
    known = np.zeros(len(phrase), bool)
    known[row[counts]] = True
    present = here & wanted[row] & (level == lowest[row])
    row, category, rule = row[present], category[present], rule[present]
    # "an animal" is evidence only where one kind of animal has boxes
    loose = np.bincount(row[rule == _HYPERNYM], minlength=len(phrase)) > 1
    keep = ~((rule == _HYPERNYM) & loose[row])
    return Ends(row[keep], category[keep], rule[keep]), known


def _explode(phrase: np.ndarray, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and values of a list-valued column given by phrase code."""
    if not len(phrase):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    sizes = np.array([len(v) for v in values], np.int64)
    flat = np.concatenate(values) if sizes.sum() else np.zeros(0, np.int64)
    starts = np.cumsum(sizes) - sizes
    counts = sizes[phrase]
    row = np.repeat(np.arange(len(phrase)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, flat[starts[phrase][row] + within]
