"""Rows of a classifier that a sentence encoder writes: one sentence, or several averaged, per interaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPModel, CLIPTextModelWithProjection

from relforge.models.checkpoint import load_model
from relforge.models.files import resolve_model

POOLINGS = ("cls", "pooler", "mean")
"""How a sentence's token states become one vector: the first token's state (BERT), the pooler's output
(SimCSE), or the mean of all. CLIP's text tower has one of its own, the projected state of the end token."""

TEMPLATES = ("a person {verb} the {object}",)
NO_VERB = "no interaction"
NO_VERB_TEMPLATES = ("a person and {a} {object}",)
"""As the release has them."""

ROWS, PROMPTS = "rows.safetensors", "prompts.json"
_BATCH = 64


@dataclass(frozen=True)
class LanguageHead:
    """Args:
    rows: C x width.
    interactions: (verb, object) of every row.
    encoder: what wrote them, as the user named it.
    """

    rows: Tensor
    interactions: tuple[tuple[str, str], ...]
    encoder: str


def write_sentences(
    interactions: Sequence[tuple[str, str]],
    templates: Sequence[str] = TEMPLATES,
    edited: Mapping[str, Sequence[str]] | None = None,
) -> list[list[str]]:
    """The sentences of every interaction.

    Args:
        templates: with `{verb}`, `{object}` and `{a}`, the article of the object.
        edited: "verb object" -> its sentences, instead of the templates'.

    Raises:
        ValueError: a template with another field, or an edited name that is no interaction.
    """
    edited = edited or {}
    names = [f"{verb} {object_}" for verb, object_ in interactions]
    if unknown := sorted(set(edited) - set(names)):
        raise ValueError(f"prompts: {unknown[0]!r} is none of the {len(names)} interactions; correct it")
    out = []
    for (verb, object_), name in zip(interactions, names, strict=True):
        if name in edited:
            out.append(list(edited[name]))
            continue
        article = "an" if object_[:1].lower() in "aeiou" else "a"
        try:
            chosen = NO_VERB_TEMPLATES if verb.replace("_", " ") == NO_VERB else templates
            fields = {"verb": verb.replace("_", " "), "object": object_.replace("_", " "), "a": article}
            out.append([template.format(**fields) for template in chosen])
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"prompts: template {templates!r} has other fields than verb, object, a"
            ) from error
    return out


@torch.inference_mode()
def write_rows(encoder: str, sentences: Sequence[Sequence[str]], pooling: str = "cls") -> Tensor:
    """Rows C x width of unit length; several sentences of an interaction are averaged and normalised again.

    Args:
        encoder: folder or hub name of a BERT-like encoder or of a CLIP, as transformers writes them; or the
            folder of a model of the zoo that reads texts, such as an R-Tagger, whose encoder pools itself.
        sentences: of every interaction, at least one.
        pooling: one of `POOLINGS`; CLIP's is its own.

    Raises:
        FileNotFoundError: there is no such encoder.
        ValueError: an unknown pooling, or a model without a text encoder.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling: {pooling!r}; choose one of {', '.join(POOLINGS)}")
    path = str(resolve_model(encoder).path)
    flat = [sentence for own in sentences for sentence in own]
    vectors = F.normalize(_encode(path, flat, pooling).float(), dim=-1)
    starts = torch.tensor([0, *(len(own) for own in sentences)]).cumsum(0).tolist()
    means = [vectors[start:stop].mean(0) for start, stop in pairwise(starts)]
    return F.normalize(torch.stack(means), dim=-1)


def _encode(path: str, sentences: list[str], pooling: str) -> Tensor:
    if (Path(path) / "config.json").is_file() and "sizes" in json.loads(
        (Path(path) / "config.json").read_bytes()
    ):
        model = load_model(path).model
        if not hasattr(model, "text_encoder"):
            raise ValueError(f"{path} is a model without a text encoder; name a sentence encoder")
        vectors: Tensor = model.text_encoder.encode(sentences)
        return vectors
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        clip = config.model_type.startswith("clip")
        whole = config.model_type == "clip"  # both towers; the projection's width is in the common config
        loader = CLIPModel if whole else CLIPTextModelWithProjection if clip else AutoModel
        model = loader.from_pretrained(path, trust_remote_code=False).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is no sentence encoder that transformers reads: {error}") from error
    parts = []
    for start in range(0, len(sentences), _BATCH):
        batch = tokenizer(sentences[start : start + _BATCH], padding=True, return_tensors="pt")
        out = model.text_model(**batch) if whole else model(**batch)
        if clip:
            parts.append(model.text_projection(out.pooler_output) if whole else out.text_embeds)
        elif pooling == "cls":
            parts.append(out.last_hidden_state[:, 0])
        elif pooling == "pooler":
            if getattr(out, "pooler_output", None) is None:
                raise ValueError(f"{path} has no pooler; choose the pooling cls or mean")
            parts.append(out.pooler_output)
        else:
            weight = batch["attention_mask"][..., None].to(out.last_hidden_state.dtype)
            parts.append((out.last_hidden_state * weight).sum(1) / weight.sum(1))
    return torch.cat(parts)


def save_head(folder: str | Path, head: LanguageHead, sentences: Sequence[Sequence[str]]) -> Path:
    """Write `rows.safetensors` and `prompts.json`, which may be edited and read again. Returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [list(pair) for pair in head.interactions]
    facts = {"interactions": json.dumps(names), "encoder": head.encoder}
    save_file({"rows": head.rows.contiguous()}, folder / ROWS, metadata=facts)
    prompts = {f"{v} {o}": list(own) for (v, o), own in zip(head.interactions, sentences, strict=True)}
    (folder / PROMPTS).write_text(json.dumps(prompts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def load_head(folder: str | Path) -> LanguageHead:
    """Read what `save_head` wrote.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = Path(folder) / ROWS if Path(folder).is_dir() else Path(folder)
    try:
        with safe_open(path, "pt") as file:
            rows, facts = file.get_tensor("rows"), file.metadata()
        pairs = tuple((str(verb), str(object_)) for verb, object_ in json.loads(facts["interactions"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no language head ({error}); write one with `relforge language-head`"
        ) from error
    if rows.ndim != 2 or len(rows) != len(pairs):
        raise ValueError(f"{path}: {tuple(rows.shape)} rows for {len(pairs)} interactions; write it again")
    return LanguageHead(rows.float(), pairs, facts.get("encoder", ""))


def rows_of(head: LanguageHead, interactions: Sequence[tuple[str, str]]) -> Tensor:
    """The rows of these interactions, in their order.

    Raises:
        ValueError: the head has no row for one.
    """
    place = {pair: row for row, pair in enumerate(head.interactions)}
    if missing := [pair for pair in interactions if pair not in place]:
        raise ValueError(
            f"the language head has no row for {' '.join(missing[0])!r}; write it for these interactions"
        )
    return head.rows[[place[pair] for pair in interactions]]
