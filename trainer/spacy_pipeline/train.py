"""Train the embedded spaCy pipeline.

    python -m relforge.trainer.spacy_pipeline.train --treebank en_ewt-ud-train.conllu \\
        --dev en_ewt-ud-dev.conllu --graphs random_train.csv --out stages/parse/pipeline_en

First a converted treebank and generated captions; then, where captions with gold scene graphs are given,
also the parses of theirs that the graphs confirm. The texts are read at training time and not kept.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from spacy.language import Language

from relforge.trainer.spacy_pipeline.caption_grammar import CaptionGrammar
from relforge.trainer.spacy_pipeline.card import describe, save
from relforge.trainer.spacy_pipeline.clearnlp import to_clearnlp
from relforge.trainer.spacy_pipeline.confirmed import confirmed_trees, read_graphs
from relforge.trainer.spacy_pipeline.conllu import read_conllu
from relforge.trainer.spacy_pipeline.examples import example, is_projective
from relforge.trainer.spacy_pipeline.fit import fit, initialise
from relforge.trainer.spacy_pipeline.pipeline import blank_pipeline
from relforge.trainer.spacy_pipeline.tree import Tree

MAX_WORDS = 30
"""Longer treebank sentences are left out: captions have ten words."""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m relforge.trainer.spacy_pipeline.train", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--treebank", type=Path, required=True, help="CoNLL-U with Universal Dependencies")
    parser.add_argument("--dev", type=Path, required=True, help="the same, held out for the scores")
    parser.add_argument("--graphs", type=Path, help="CSV with the columns caption and scene_graph")
    parser.add_argument("--generated", type=int, default=8000, help="captions drawn from the grammar")
    parser.add_argument("--steps", type=int, default=350, help="updates of 1,500 words on the first two")
    parser.add_argument("--graph-steps", type=int, default=450, help="further updates on all three")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pipeline")
    return parser


def main() -> None:
    args = arguments().parse_args()
    rng = random.Random(args.seed)
    treebank = [tree for tree in read_conllu(args.treebank) if len(tree) <= MAX_WORDS]
    counts = {"treebank_sentences": len(treebank), "generated_captions": args.generated}
    trees = [to_clearnlp(tree) for tree in treebank] + list(
        CaptionGrammar(args.seed).captions(args.generated)
    )
    trees = [tree for tree in trees if is_projective(tree)]
    report(f"{len(trees)} trees, {sum(map(len, trees))} words")

    nlp = blank_pipeline()
    optimizer = initialise(nlp, trees, args.seed)
    fit(nlp, optimizer, trees, args.steps, rng, report)
    if args.graphs:
        confirmed = list(confirmed_trees(nlp, read_graphs(args.graphs)))
        counts["confirmed_captions"] = len(confirmed)
        report(f"{len(confirmed)} captions confirmed by their graphs")
        fit(nlp, optimizer, trees + confirmed, args.graph_steps, rng, report)

    scores = score(nlp, [to_clearnlp(tree) for tree in read_conllu(args.dev)])
    report(str(scores))
    save(nlp, args.out, describe(args, counts, scores))


def score(nlp: Language, trees: Sequence[Tree]) -> dict[str, float]:
    """Attachment, tag, part-of-speech and lemma accuracy on treebank sentences, in [0, 1]."""
    scores = nlp.evaluate([example(nlp.vocab, tree) for tree in trees])
    return {
        name: round(scores[name], 4) for name in ("dep_uas", "dep_las", "tag_acc", "pos_acc", "lemma_acc")
    }


def report(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
