"""Write a trained pipeline with the record of what made it."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language

CARD = "card.json"
LICENCES = {
    "treebank": "Universal Dependencies English Web Treebank, CC BY-SA 4.0",
    "dev": "Universal Dependencies English Web Treebank, CC BY-SA 4.0",
    "graphs": "FACTUAL random split; captions from Visual Genome, CC BY 4.0",
}


def describe(args: argparse.Namespace, counts: dict[str, int], scores: dict[str, float]) -> dict[str, Any]:
    """What a reader needs to train the pipeline again and to check that it is the same."""
    sources = {name: getattr(args, name) for name in LICENCES if getattr(args, name)}
    options = {
        "generated": args.generated,
        "steps": args.steps,
        "graph-steps": args.graph_steps,
        "seed": args.seed,
    }
    command = ["python -m relforge.trainer.spacy_pipeline.train"]
    command += [f"--{name} {path.name}" for name, path in sources.items()]
    command += [f"--{name} {value}" for name, value in options.items()]
    return {
        "command": " ".join([*command, "--out stages/parse/pipeline_en"]),
        "data": {
            name: {
                "file": path.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "origin": LICENCES[name],
            }
            for name, path in sources.items()
        },
        "counts": counts,
        "scores_on_dev": scores,
        "scheme": "ClearNLP labels as bent in trainer/spacy_pipeline/clearnlp.py",
        "spacy": spacy.__version__,
    }


def save(nlp: Language, folder: Path, card: dict[str, Any]) -> None:
    """Write pipeline and card.

    The training words are cut from the string store: the weights need hashes alone, and the texts are
    not ours to pass on.
    """
    nlp.meta.update(
        name="captions",
        version="1",
        description="English captions: tags, ClearNLP-style dependencies, lemmas",
        author="relforge",
        license="CC BY-SA 4.0",
        performance={},
    )
    nlp.to_disk(folder)
    (folder / "vocab" / "strings.json").write_text("[]\n", encoding="utf-8")
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
