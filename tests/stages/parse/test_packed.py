"""The packed evaluation gives spaCy's own vectors and parses."""

from __future__ import annotations

import numpy as np
import spacy

from relforge.stages.parse.packed import pack
from relforge.stages.parse.pipelines import EMBEDDED_PATH
from relforge.trainer.spacy_pipeline.caption_grammar import CaptionGrammar

PARSE = ["HEAD", "DEP", "TAG", "POS", "LEMMA"]


def test_vectors_agree_and_parses_are_identical() -> None:
    plain, packed = spacy.load(EMBEDDED_PATH), spacy.load(EMBEDDED_PATH)
    captions = ["", *(tree.text() for tree in CaptionGrammar(seed=3).captions(300))]

    assert pack(packed)

    for theirs, ours in zip(plain.pipe(captions), packed.pipe(captions), strict=True):
        np.testing.assert_allclose(ours.tensor, theirs.tensor, atol=1e-4)
        np.testing.assert_array_equal(ours.to_array(PARSE), theirs.to_array(PARSE))


def test_a_pipeline_of_another_layout_is_left_alone() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")

    assert not pack(nlp)
