"""A small R-Tagger with random weights that spread their scores, and pictures to ask it about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig

from relforge.tagger.checkpoint import Blueprint, save_model
from relforge.tagger.model import RelationModel
from relforge.tagger.question import Question
from relforge.tagger.sizes import Sizes

WORDS = ("no", "objects", "person", "dog", "mat", "horse", "riding", "sitting", "on")
WORDS += ("holding", "next", "to", "near", "under", "behind", "above")
CLASSES = ("person", "dog", "mat", "horse")
RELATIONS = ("riding", "sitting on", "holding", "next to", "near", "under", "behind", "above")

SIZES = Sizes(
    dim=32,
    heads=4,
    pairs=8,
    encoder_layers=2,
    fusions=2,
    decoder_layers=2,
    feedforward=48,
    fusion_dim=32,
    language_heads=2,
    language_feedforward=48,
    dropout=0.0,
)

ROBERTA = RobertaConfig(
    vocab_size=4 + len(WORDS),
    hidden_size=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=80,
    type_vocab_size=1,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)

BLUEPRINT = Blueprint(
    kind="rtagger",
    sizes=SIZES,
    backbone={
        "family": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [16, 24, 32, 48],
        "depths": [1, 1, 1, 1],
    },
    text_encoder=ROBERTA.to_diff_dict(),
    classes=CLASSES,
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word, between <s> and </s>."""
    vocabulary = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    base.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=base, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def model(kind: str = "rtagger", **sizes: object) -> RelationModel:
    """The model, the same at every call."""
    torch.manual_seed(7)
    built = replace(BLUEPRINT, kind=kind, sizes=replace(SIZES, **sizes)).build(tokenizer())  # type: ignore[arg-type]
    with torch.no_grad():
        built.classifier.projection.weight.mul_(6)  # scores on both sides of any floor
        built.classifier.relation_bias.normal_()
        for name, parameter in built.named_parameters():
            if name.startswith("text_encoder.") and name.endswith("embeddings.weight"):
                parameter.mul_(40)  # labels that differ
    return built.eval()


def folder(path: Path) -> Path:
    """A model folder with it."""
    save_model(path, model(), BLUEPRINT, tokenizer(), metrics={"recall": 0.5}, made_by="a test")
    return path


def question(
    key: str, seed: int, height: int = 64, width: int = 80, boxes: int = 4, asked: int = 12
) -> Question:
    """A random picture with random candidates, decided by `seed`."""
    source = torch.Generator().manual_seed(seed)
    centre = 0.2 + 0.6 * torch.rand(boxes, 2, generator=source)
    size = 0.1 + 0.2 * torch.rand(boxes, 2, generator=source)
    pairs = [(s, o) for s in range(boxes) for o in range(boxes) if s != o]
    choice = torch.randperm(len(pairs) * len(RELATIONS), generator=source)[:asked].tolist()
    return Question(
        key=key,
        pixels=torch.randint(0, 256, (3, height, width), generator=source, dtype=torch.uint8),
        boxes=torch.cat([centre, size], 1),
        labels=[CLASSES[i % len(CLASSES)] for i in range(boxes)],
        candidates=[(*pairs[i // len(RELATIONS)], RELATIONS[i % len(RELATIONS)]) for i in choice],
        classes=CLASSES,
    )
