"""Fit a spaCy pipeline to trees."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

from spacy.language import Language
from thinc.api import Optimizer, fix_random_seed

from relforge.trainer.spacy_pipeline.examples import example
from relforge.trainer.spacy_pipeline.tree import Tree

BATCH_WORDS = 1500
LEARN_RATE = 0.002
DROPOUT = 0.1


def initialise(nlp: Language, trees: Sequence[Tree], seed: int) -> Optimizer:
    """Draw the weights and collect the labels of `trees`; returns the optimiser."""
    fix_random_seed(seed)
    lemmatizer = nlp.remove_pipe("lemmatizer")[1]  # holds its tables already
    sample = [example(nlp.vocab, tree) for tree in trees]
    optimizer: Optimizer = nlp.initialize(lambda: sample)
    nlp.add_pipe("lemmatizer", config={"mode": "rule"})
    nlp.get_pipe("lemmatizer").lookups = lemmatizer.lookups
    return optimizer


def fit(
    nlp: Language,
    optimizer: Optimizer,
    trees: Sequence[Tree],
    steps: int,
    rng: random.Random,
    report: Callable[[str], None],
) -> None:
    """Run `steps` updates over shuffled trees, half of them lower-cased.

    The learning rate falls linearly to a tenth.
    """
    batches = _batches(trees, rng)
    losses: dict[str, float] = {}
    started, words = time.perf_counter(), 0
    for step in range(steps):
        optimizer.learn_rate = LEARN_RATE * (1 - 0.9 * step / steps)
        batch = next(batches)
        words += sum(len(tree) for tree in batch)
        examples = [example(nlp.vocab, tree, lower=rng.random() < 0.5) for tree in batch]
        nlp.update(examples, sgd=optimizer, drop=DROPOUT, losses=losses)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            rate = words / (time.perf_counter() - started)
            shown = " ".join(f"{name} {loss / 100:.1f}" for name, loss in losses.items() if loss)
            report(f"step {step + 1}/{steps}  {rate:.0f} words/s  {shown}")
            losses.clear()


def _batches(trees: Sequence[Tree], rng: random.Random) -> Iterator[list[Tree]]:
    order = list(trees)
    while True:
        rng.shuffle(order)
        batch: list[Tree] = []
        words = 0
        for tree in order:
            batch.append(tree)
            words += len(tree)
            if words >= BATCH_WORDS:
                yield batch
                batch, words = [], 0
