"""Train the parser.

    python -m relforge.trainer.parser.train --train FILE.csv --dev FILE.csv --out DIR --seed 0

Files are in the layout of FACTUAL (columns `caption` and `scene_graph`). Of the dev file every other caption
chooses `min_confidence`, after the last epoch; all of it is measured, none of it learnt from. The folder it
writes is what the option `model` of the `relforge` parser takes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from relforge.stages.parse.learned.files import CARD, TABLES, WEIGHTS, build, load_model, read_card
from relforge.stages.parse.learned.lexicon import Lexicon
from relforge.stages.parse.learned.model import GraphTagger, WordEncoder
from relforge.stages.parse.learned.parser import LearnedParser
from relforge.stages.parse.learned.tables import Tables
from relforge.trainer.parser.align import Aligned, align_all
from relforge.trainer.parser.compose import Composer
from relforge.trainer.parser.confidence import choose_confidence
from relforge.trainer.parser.examples import GLUES, Example, batches, example
from relforge.trainer.parser.gold import GoldCaption, read_gold
from relforge.trainer.parser.losses import loss
from relforge.trainer.parser.scores import gold_style, score_sets
from relforge.trainer.parser.tables import count_tables
from relforge.trainer.parser.teach import collect_lessons, fold
from relforge.trainer.parser.training_words import TrainingWords

PATHS = ("extra", "teachers")
"""Arguments that take several files or folders."""

AVERAGE_EVERY = 8
"""Steps between two updates of the averaged weights."""


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, keep the averaged weights, score them on dev; returns the card."""
    began = time.monotonic()
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    corpus, _ = align_all([*read_gold(arguments.train), *(p for f in arguments.extra for p in read_gold(f))])
    corpus = [aligned for aligned in corpus if aligned.words and aligned.entities]
    dev = read_gold(arguments.dev)
    start = load_model(arguments.start) if arguments.start else None
    tables = start[1] if start else count_tables(corpus)
    vocabulary = sorted(
        {word for aligned in corpus for word in aligned.words} | {w for g in GLUES for w in g}
    )
    index = {word: i for i, word in enumerate(vocabulary)}
    left_out = arguments.leave_out
    learnt = [a for a in corpus if left_out is None or fold(a, arguments.folds) != left_out]
    examples = [example(aligned, tables, index) for aligned in learnt]
    glues = [[index[word] for word in glue] for glue in GLUES]

    lessons = None
    if arguments.teachers:
        weight = arguments.taught
        lessons = collect_lessons(arguments.teachers, learnt, examples, vocabulary, tables, weight)
    composer = Composer(examples, vocabulary)

    sizes = {name: getattr(arguments, name) for name in ("width", "hidden", "layers", "pair", "buckets")}
    if arguments.start:
        sizes = read_card(arguments.start)["sizes"]
    encoder, tagger = build(sizes, tables, arguments.dropout)
    if start:
        encoder.load_state_dict(start[0].words.state_dict())
        tagger.load_state_dict(start[0].tagger.state_dict())
    lookup = TrainingWords(Lexicon(tables.known, sizes["buckets"]), vocabulary, arguments.hide, rng)

    def epoch_batches(rng: np.random.Generator) -> Iterator[list[Example]]:
        share, extended = arguments.joined, arguments.extended
        return batches(examples, arguments.batch_size, share, glues, rng, composer.extend, extended)

    weights = [*encoder.parameters(), *tagger.parameters()]
    average = [w.detach().clone() for w in weights]
    optimizer = torch.optim.AdamW(
        weights, lr=arguments.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    steps_an_epoch = sum(1 for _ in epoch_batches(np.random.default_rng(0)))
    steps = arguments.epochs * steps_an_epoch
    warm = min(300, steps // 10 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm) * max(0.01, 1 - step / steps)
    )
    card = _card(arguments, sizes, learnt, sum(weight.numel() for weight in weights))
    step = 0
    for epoch in range(arguments.epochs):
        encoder.train()
        tagger.train()
        total = 0.0
        for batch in epoch_batches(rng):
            rows, shapes, grams, offsets, place = lookup(batch)
            vectors = encoder(rows, shapes, grams, offsets, place)
            vectors = F.dropout(vectors, arguments.dropout / 3)
            vectors = vectors.view(len(batch), -1, sizes["width"])
            value = loss(tagger, vectors, batch, arguments.smoothing, lessons)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(weights, 2.0, foreach=True)
            optimizer.step()
            schedule.step()
            total += value.item()
            step += 1
            if step % AVERAGE_EVERY == 0:
                keep = min(arguments.average, (step + 1) / (step + 10 * AVERAGE_EVERY)) ** AVERAGE_EVERY
                torch._foreach_lerp_(average, [w.detach() for w in weights], 1 - keep)
        current = [w.detach().clone() for w in weights]
        torch._foreach_copy_([w.data for w in weights], average)
        card |= {"epochs_done": epoch + 1, "seconds": round(time.monotonic() - began)}
        save_model(arguments.out, encoder, tagger, tables, card)
        card["dev"] = evaluate(arguments.out, dev)
        save_model(arguments.out, encoder, tagger, tables, card)
        torch._foreach_copy_([w.data for w in weights], current)
        print(
            f"epoch {epoch + 1}: loss {total / steps_an_epoch:.3f}, {card['seconds']} s, dev {card['dev']}",
            flush=True,
        )
    choose_and_measure(arguments.out, dev, card)
    return card


def save_model(
    folder: Path, words: WordEncoder, tagger: GraphTagger, tables: Tables, card: dict[str, Any]
) -> None:
    """Write a model folder; weights are stored as half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"words.{k}": v for k, v in words.state_dict().items()}
    state |= {f"tagger.{k}": v for k, v in tagger.state_dict().items()}
    save_file({k: v.detach().half().contiguous() for k, v in state.items()}, str(folder / WEIGHTS))
    text = json.dumps(asdict(tables), ensure_ascii=False, indent=0)
    (folder / TABLES).write_text(text + "\n", encoding="utf-8")
    write_card(folder, card)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def choose_and_measure(
    folder: Path, pairs: Sequence[GoldCaption], card: dict[str, Any], min_confidence: float | None = None
) -> None:
    """Choose `min_confidence` on every other caption where none is given, and write it with the scores on all
    captions, and on those that chose nothing, into the card."""
    if min_confidence is None:
        parser, chosen_on = _parser(folder), pairs[::2]
        parses = [parse for _, parse in parser.parses([pair.caption for pair in chosen_on])]
        min_confidence = choose_confidence(parses, parser.tables, [pair.triples for pair in chosen_on])
    card["min_confidence"] = min_confidence
    write_card(folder, card)
    card["dev"] = evaluate(folder, pairs)
    card["dev_not_chosen_on"] = evaluate(folder, pairs[1::2])
    write_card(folder, card)


def _parser(folder: Path) -> LearnedParser:
    parser = LearnedParser(str(folder))
    parser.setup()
    return parser


def evaluate(folder: Path, pairs: Sequence[GoldCaption]) -> dict[str, float]:
    """Scores of a model folder on gold captions, of the relations from its `min_confidence` on."""
    parser = _parser(folder)
    return score_sets(gold_style(parser, [pair.caption for pair in pairs]), [pair.triples for pair in pairs])


def _card(
    arguments: argparse.Namespace, sizes: dict[str, int], corpus: Sequence[Aligned], count: int
) -> dict[str, Any]:
    shown = {
        key: value.name if isinstance(value, Path) else [v.name for v in value] if key in PATHS else value
        for key, value in vars(arguments).items()
    }
    card = {
        "model": "relforge caption parser",
        "command": "python -m relforge.trainer.parser.train "
        + " ".join(
            f"--{k.replace('_', '-')} {' '.join(v) if isinstance(v, list) else v}"
            for k, v in shown.items()
            if v not in ([], None)
        ),
        "sha256": {
            p.name: hashlib.sha256(p.read_bytes()).hexdigest()
            for p in (arguments.train, *arguments.extra, arguments.dev)
        },
        "seed": arguments.seed,
        "captions": len(corpus),
        "parameters": count,
        "sizes": sizes,
        "torch": torch.__version__,
    }
    if arguments.leave_out is not None:
        card |= {"leave_out": arguments.leave_out, "folds": arguments.folds}
    if arguments.teachers:
        card["teachers"] = [read_card(t) for t in arguments.teachers]
    if arguments.start:
        weights = arguments.start / WEIGHTS
        card["started_from"] = {
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "card": read_card(arguments.start),
        }
    return card


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m relforge.trainer.parser.train", description="Train the caption parser."
    )
    add = parser.add_argument
    add("--train", type=Path, required=True, help="gold captions to learn from (CSV)")
    add("--extra", type=Path, nargs="*", default=[], help="further gold captions to learn from (CSV)")
    add("--dev", type=Path, required=True, help="gold captions to measure on (CSV)")
    add("--out", type=Path, required=True, help="folder to write")
    add("--seed", type=int, default=0)
    add("--epochs", type=int, default=10)
    add("--batch-size", type=int, default=192, help="captions per step")
    add("--rate", type=float, default=4e-3, help="peak learning rate")
    add("--width", type=int, default=128, help="channels of a word vector")
    add("--hidden", type=int, default=112, help="LSTM channels per direction")
    add("--layers", type=int, default=2)
    add("--pair", type=int, default=128, help="channels of a pair of words")
    add("--buckets", type=int, default=8192, help="rows of the letter n-gram table")
    add("--dropout", type=float, default=0.28)
    add("--hide", type=float, default=0.15, help="share of words replaced by the unknown word")
    add(
        "--extended",
        type=float,
        default=0.3,
        help="share of captions continued by another about the same entity",
    )
    add("--start", type=Path, help="model folder whose weights to begin with; its sizes and tables are kept")
    add("--folds", type=int, default=4, help="parts that the training captions are divided into")
    add("--leave-out", type=int, help="part not to learn from, which the model may teach")
    add(
        "--teachers",
        type=Path,
        nargs="*",
        default=[],
        help="model folders whose probabilities are learnt too",
    )
    add("--taught", type=float, default=0.6, help="share of the teachers in what is learnt")
    add("--joined", type=float, default=0.15, help="share of captions joined to another")
    add("--smoothing", type=float, default=0.03, help="label smoothing of tags and frames")
    add("--average", type=float, default=0.995, help="decay of the averaged weights per step")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    train(parse_arguments(argv))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
