"""How far parsed triples agree with gold ones, and a parse as a gold file writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from relforge.stages.parse.learned.parse import Parse
from relforge.stages.parse.learned.parser import LearnedParser
from relforge.stages.parse.learned.tables import Tables
from relforge.stages.parse.triples import ATTRIBUTE, Triple, is_relation
from relforge.trainer.parser.align import COUNT


def score_sets(found: Sequence[Set[Triple]], gold: Sequence[Set[Triple]]) -> dict[str, float]:
    """Exact set match, and micro-averaged precision, recall and F1 of triples and of relations.

    A parsed graph matches when it holds exactly the gold triples (FACTUAL's measure). Shares in [0, 1].
    """
    exact = sum(set(f) == set(g) for f, g in zip(found, gold, strict=True))
    scores = {"exact": exact / max(len(gold), 1)}
    everything: Callable[[Triple], bool] = lambda triple: len(triple) == 3  # noqa: E731
    for name, wanted in (("triplet", everything), ("relation", is_relation)):
        right = parsed = true = 0
        for f, g in zip(found, gold, strict=True):
            ours, theirs = {t for t in f if wanted(t)}, {t for t in g if wanted(t)}
            right, parsed, true = right + len(ours & theirs), parsed + len(ours), true + len(theirs)
        precision, recall = right / max(parsed, 1), right / max(true, 1)
        scores |= {
            f"{name}_precision": precision,
            f"{name}_recall": recall,
            f"{name}_f1": 2 * right / max(parsed + true, 1),
        }
    return {name: round(value, 4) for name, value in scores.items()}


def gold_style(parser: LearnedParser, captions: Sequence[str]) -> list[frozenset[Triple]]:
    """The parser's decisions as string triples in the style of the gold files, from `min_confidence` on."""
    parses = [parse for _, parse in parser.parses(captions)]
    return [triples(parse, parser.tables, parser.min_confidence) for parse in parses]


def triples(parse: Parse, tables: Tables, min_confidence: float = 0.0) -> frozenset[Triple]:
    """The parse as a gold file writes it: usual names, rightly spelt, lemmatised predicates, attributes with
    `is`."""
    spelt = [tables.speller.correct(word) for word in parse.words]
    text = lambda span: " ".join(spelt[span[0] : span[1] + 1])  # noqa: E731
    names = [tables.names.get(phrase, phrase) for phrase in map(text, parse.entities)]
    found: set[Triple] = set()
    for subject, obj, frame, filler, confidence in parse.relations:
        if confidence < min_confidence:
            continue
        predicate = frame.replace("_", tables.lemma(parse.words[filler]), 1) if filler >= 0 else frame
        found.add((names[subject], predicate, names[obj]))
    for span, owner in parse.attributes:
        found.add((names[owner], ATTRIBUTE, usual_attribute(text(span), tables)))
    for owner, attribute in parse.implied:
        found.add((names[owner], ATTRIBUTE, attribute))
    return frozenset(found or {(name,) for name in names})


def usual_attribute(phrase: str, tables: Tables) -> str:
    """Gold wording of an attribute phrase; counts as digits."""
    return COUNT.get(phrase) or tables.attributes.get(phrase, phrase)
