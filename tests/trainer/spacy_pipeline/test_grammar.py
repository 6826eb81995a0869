"""The caption grammar, its inflection and the lemma tables agree."""

from __future__ import annotations

import pytest
import spacy
from spacy.tokens import Doc

from relforge.stages.parse.inflection import gerund, third_person
from relforge.trainer.spacy_pipeline.caption_grammar import CaptionGrammar
from relforge.trainer.spacy_pipeline.examples import is_projective
from relforge.trainer.spacy_pipeline.lemmas import lemma_tables
from relforge.trainer.spacy_pipeline.words import participle, plural, sections


def test_captions_are_trees_and_nearly_all_projective() -> None:
    trees = list(CaptionGrammar(seed=5).captions(500))

    assert all(tree.is_tree() for tree in trees)
    assert sum(is_projective(tree) for tree in trees) > 490


def test_the_same_seed_draws_the_same_captions() -> None:
    first, second = (list(CaptionGrammar(seed=9).captions(20)) for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (plural("man"), "men"),
        (plural("wine glass"), "wine glasses"),
        (plural("sheep"), "sheep"),
        (gerund("sit"), "sitting"),
        (gerund("lie"), "lying"),
        (gerund("ride"), "riding"),
        (participle("park"), "parked"),
        (participle("hang"), "hung"),
        (third_person("catch"), "catches"),
        (third_person("carry"), "carries"),
    ],
)
def test_inflects(form: str, expected: str) -> None:
    assert form == expected


def test_every_verb_form_of_the_lexicon_comes_back_to_its_lemma() -> None:
    nlp = spacy.blank("en")
    lemmatizer = nlp.add_pipe("lemmatizer", config={"mode": "rule"})
    lemmatizer.initialize(lookups=lemma_tables())
    verbs = {entry for part in ("transitive", "intransitive", "passive") for entry in sections("verbs")[part]}
    forms = [(form(verb), verb) for verb in sorted(verbs) for form in (gerund, participle, third_person)]

    doc = lemmatizer(Doc(nlp.vocab, words=[form for form, _ in forms], pos=["VERB"] * len(forms)))

    assert [(token.text, token.lemma_) for token in doc] == forms
