"""Tables of the rule lemmatiser: suffix rules, exceptions and the base forms that settle ties."""

from __future__ import annotations

from spacy.lookups import Lookups

from relforge.stages.parse.inflection import irregular
from relforge.trainer.spacy_pipeline.words import sections

_DOUBLED = [(f"{c}{c}{end}", c) for c in "bdgmnprt" for end in ("ing", "ed")]

RULES: dict[str, list[tuple[str, str]]] = {
    "noun": [
        ("ss", "ss"),
        ("us", "us"),
        ("is", "is"),
        ("ies", "y"),
        ("sses", "ss"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
        ("men", "man"),
        ("s", ""),
        ("", ""),
    ],
    "verb": [
        ("ss", "ss"),
        ("ies", "y"),
        ("sses", "ss"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
        ("zzes", "zz"),
        ("s", ""),
        ("es", ""),
        ("ied", "y"),
        *_DOUBLED,
        *[(f"{stem}{end}", f"{stem}e") for stem in ("at", "iz", "v", "c", "g", "u") for end in ("ing", "ed")],
        ("ing", ""),
        ("ed", ""),
        ("ing", "e"),
        ("ed", "e"),
        ("", ""),
    ],
    "adj": [("", "")],
}
"""Part of speech -> (ending, replacement). The first applicable one decides unknown words; a result
among the known base forms beats it."""


def known_base_forms() -> dict[str, list[str]]:
    """Part of speech -> base forms, from the lexicon and the irregular table."""
    nouns = {word for part in sections("nouns").values() for entry in part for word in entry.split()}
    verbs = {entry.split()[0] for part in sections("verbs").values() for entry in part}
    adjectives = {entry for part in sections("adjectives").values() for entry in part}
    table = irregular()
    return {
        "noun": sorted(nouns | set(table["noun"].values())),
        "verb": sorted(verbs | set(table["verb"].values())),
        "adj": sorted(adjectives),
    }


def lemma_tables() -> Lookups:
    """The tables that spaCy's English rule lemmatiser reads."""
    lookups = Lookups()
    bases = known_base_forms()
    comparatives: dict[str, list[str]] = {}
    for base in bases["adj"]:
        stem = base[:-1] if base.endswith(("e", "y")) else base
        stem += "i" * base.endswith("y")
        comparatives |= {stem + "er": [base], stem + "est": [base]}
    exceptions = {pos: {form: [base] for form, base in forms.items()} for pos, forms in irregular().items()}
    exceptions["adj"] = comparatives | exceptions["adj"]
    lookups.add_table("lemma_rules", {pos: [list(rule) for rule in rules] for pos, rules in RULES.items()})
    lookups.add_table("lemma_exc", exceptions)
    lookups.add_table("lemma_index", bases)
    return lookups
