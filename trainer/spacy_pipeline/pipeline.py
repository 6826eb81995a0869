"""The embedded pipeline before training: components, sizes and lemma tables."""

from __future__ import annotations

import spacy
from spacy.language import Language

from relforge.trainer.spacy_pipeline.lemmas import lemma_tables

WIDTH = 96

CONFIG = {
    "tok2vec": {
        "model": {
            "@architectures": "spacy.Tok2Vec.v2",
            "embed": {
                "@architectures": "spacy.MultiHashEmbed.v2",
                "width": WIDTH,
                "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
                "rows": [4000, 500, 1000, 500],
                "include_static_vectors": False,
            },
            "encode": {
                "@architectures": "spacy.MaxoutWindowEncoder.v2",
                "width": WIDTH,
                "window_size": 1,
                "maxout_pieces": 3,
                "depth": 4,
            },
        }
    }
}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH, "upstream": "*"}
TAGGER = {"model": {"@architectures": "spacy.Tagger.v2", "nO": None, "tok2vec": LISTENER}}
PARSER = {
    "min_action_freq": 10,
    "learn_tokens": False,
    "model": {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "parser",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": True,
        "nO": None,
        "tok2vec": LISTENER,
    },
}


def blank_pipeline() -> Language:
    """`tok2vec`, `tagger` (Penn tags), `morphologizer` (universal parts of speech), `parser` and a rule
    `lemmatizer`, all sharing one small embedding: the layout of spaCy's own small English pipeline,
    without named entities."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config=CONFIG["tok2vec"])
    nlp.add_pipe("tagger", config=TAGGER)
    nlp.add_pipe("morphologizer", config=TAGGER)
    nlp.add_pipe("parser", config=PARSER)
    lemmatizer = nlp.add_pipe("lemmatizer", config={"mode": "rule"})
    lemmatizer.initialize(lookups=lemma_tables())
    return nlp
