"""Parser `flan_t5`: FACTUAL's Flan-T5 scene graph models, where they are installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relforge.models.files import resolve_model
from relforge.stages.backend import Backend
from relforge.stages.match.words import singular
from relforge.stages.parse.graph import Entity, ParseError, Relation, SceneGraph
from relforge.stages.parse.stage import ParseStage
from relforge.stages.parse.triples import ATTRIBUTE, Triple, is_relation, read_triples

PROMPT = "Generate Scene Graph: "
"""What the published models were trained with (Li et al., FACTUAL, ACL Findings 2023)."""


class FlanParser:
    """A text-to-text model that writes `( subject , predicate , object )` triples.

    Each caption is decoded greedily with the others of its exact token count, so that padding never
    changes a result. The model writes normal forms ("sit on"), so an element points to the caption only
    where its words are found there.

    Args:
        model: hub name, e.g. `lizhuang144/flan-t5-base-factual-sg`, or a local folder.
        batch_size: captions decoded in one batch.
        max_length: tokens written at most per caption; longer graphs are cut at their last whole triple.
        device: torch device, e.g. `cpu`, `cuda`.

    Raises:
        FileNotFoundError: no such model (from `files` and `setup`).
        ValueError: it is not a T5 model (from `setup`).
    """

    gives_confidence = False
    neutral_options: tuple[str, ...] = ("batch_size", "device")

    def __init__(self, model: str, batch_size: int = 64, max_length: int = 200, device: str = "cpu") -> None:
        self.model, self.batch_size, self.max_length, self.device = model, batch_size, max_length, device
        self.name = f"flan_t5/{Path(model).name}"
        self._tokenizer: Any = None
        self._network: Any = None

    def files(self) -> Sequence[str]:
        return resolve_model(self.model).files

    def setup(self) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        folder = resolve_model(self.model).path
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            network: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"parse.model: cannot load {self.model!r} ({str(error).splitlines()[0]}); give a folder or a "
                "hub name of a saved T5 model with its tokenizer"
            ) from error
        self._network = network.to(self.device).eval()

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        return [
            graph_of(caption, sorted(found))
            for caption, found in zip(captions, self.triples(captions), strict=True)
        ]

    def triples(self, captions: Sequence[str]) -> list[frozenset[Triple]]:
        """What the model writes, as string triples, for scoring."""
        if self._network is None:
            raise RuntimeError("FlanParser.triples before setup()")
        encoded = [self._tokenizer(PROMPT + caption)["input_ids"] for caption in captions]
        limit = getattr(self._tokenizer, "model_max_length", 512)
        for index, ids in enumerate(encoded):
            if len(ids) > limit:
                raise ParseError(index, f"{len(ids)} tokens; this model takes {limit}")
        by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(encoded):
            by_length.setdefault(len(ids), []).append(index)
        out: list[frozenset[Triple]] = [frozenset()] * len(captions)
        for _, members in sorted(by_length.items()):
            for i in range(0, len(members), self.batch_size):
                block = members[i : i + self.batch_size]
                for index, text in zip(block, self._write([encoded[j] for j in block]), strict=True):
                    out[index] = read_triples(text)
        return out

    def _write(self, block: list[list[int]]) -> list[str]:
        import torch

        with torch.inference_mode():
            ids = torch.tensor(block, device=self.device)  # B x T, no padding
            written = self._network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self.max_length,
                do_sample=False,
                num_beams=1,
            )
        texts: list[str] = self._tokenizer.batch_decode(written, skip_special_tokens=True)
        return [spaced(text) for text in texts]


def spaced(text: str) -> str:
    """Triples with the spaces of a gold file, whatever the tokenizer did; an unfinished one is left out."""
    text = text[: text.rfind(")") + 1]
    for mark in "(),":
        text = text.replace(mark, f" {mark} ")
    return " ".join(text.split())


def graph_of(caption: str, found: Sequence[Triple]) -> SceneGraph:
    """String triples as a scene graph; entities of one name are one entity."""
    names = sorted({triple[0] for triple in found} | {t[2] for t in found if is_relation(t)})
    names.sort(key=lambda name: (_find(caption, name)[0] % (len(caption) + 1), name))
    at = {name: i for i, name in enumerate(names)}
    entities = []
    for name in names:
        start, end = _find(caption, name)
        attributes = tuple(t[2] for t in found if len(t) == 3 and t[1] == ATTRIBUTE and t[0] == name)
        text = caption[start:end] if start >= 0 else name
        *before, head = name.split() or [name]
        entities.append(Entity(text, " ".join([*before, singular(head)]), text, start, end, attributes))
    relations = []
    for triple in found:
        if is_relation(triple):
            start, end = _find(caption, triple[1])
            relations.append(Relation(at[triple[0]], triple[1], triple[1], at[triple[2]], start, end))
    return SceneGraph(tuple(entities), tuple(relations))


def _find(caption: str, phrase: str) -> tuple[int, int]:
    """Character span of a phrase in the caption as whole words, any case; (-1, -1) when it is not there."""

    match = re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", caption, re.IGNORECASE) if phrase else None
    return match.span() if match else (-1, -1)


stage = Backend(ParseStage, FlanParser)
