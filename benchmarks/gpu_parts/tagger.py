"""An R-Tagger of random weights and requests of COCO's sizes: ResNet-50 on a GPU, tiny on the CPU."""

from __future__ import annotations

import random
from typing import Any

import torch
from coco_sizes import draw

from gpu_parts.recorder import Recorder
from relforge.images.detection_resize import DetectionResize
from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.text import NO_OBJECTS, TextEncoder
from relforge.models.zoo import family
from relforge.tagger.engine import Engine
from relforge.tagger.gpu_model import prepare_for_gpu
from relforge.tagger.request import Request
from relforge.tagger.text_cache import TextFeatures

RELATIONS = [f"relation {number}" for number in range(60)]


def encoder(recorder: Recorder) -> TextEncoder:
    """A text encoder of roberta-base's sizes; words are their characters."""
    from transformers import RobertaConfig, RobertaModel

    small = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    sizes = small if recorder.tiny else {}
    config = RobertaConfig(vocab_size=300, max_position_embeddings=80, type_vocab_size=1, **sizes)
    torch.manual_seed(0)
    return TextEncoder(
        RobertaModel(config).eval(), lambda label: [0, *(ord(c) % 250 + 4 for c in label[:12]), 2]
    )


def build(recorder: Recorder) -> Any:
    """The model in evaluation mode."""
    torch.manual_seed(0)
    backbone: Any = "resnet50"
    entry = family("rtagger")
    sizes = entry.sizes()
    if recorder.tiny:
        backbone = {
            "family": "resnet",
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 16, 16],
            "depths": [1] * 4,
        }
        sizes = entry.sizes(
            dim=32, heads=4, pairs=4, encoder_layers=1, fusions=1, decoder_layers=1, feedforward=32,
            fusion_dim=32, language_heads=2, language_feedforward=32,
        )  # fmt: skip
    model = entry.build(
        sizes,
        backbone=build_backbone(backbone),
        text_encoder=encoder(recorder),
        classes=(),
        relations=(),
    )
    return model.eval().to(recorder.device)


def prepared(recorder: Recorder, dtype: torch.dtype) -> Any:
    """The model as a stage makes it ready for a GPU."""
    model = build(recorder)
    prepare_for_gpu(model, dtype)
    return model


def engine(
    recorder: Recorder,
    dtype: torch.dtype,
    batch_size: int,
    graphs: bool | None = None,
    model: Any = None,
) -> Engine:
    """As a stage builds it on a GPU.

    Args:
        model: from `prepared`; None: one of its own.
    """
    if model is None:
        model = prepared(recorder, dtype)
    features = TextFeatures(model.text_encoder, "0" * 64)
    return Engine(model, features, dtype=dtype, batch_size=batch_size, on_gpu=True, graphs=graphs)


def requests(
    recorder: Recorder, count: int, boxes: int = 20, pairs: int = 250, seed: int = 0
) -> list[Request]:
    """Random images of COCO's sizes, resized; every pair has three candidates."""
    resize = DetectionResize(64, 100) if recorder.tiny else DetectionResize()
    boxes, pairs = (4, 6) if recorder.tiny else (boxes, pairs)
    found = []
    for number, size in enumerate(draw(count)):
        generator = torch.Generator().manual_seed(number)
        chance = random.Random(number)
        height, width = resize.size(*size)
        pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)
        centre, extent = (torch.rand(boxes, 2, generator=generator) for _ in range(2))
        every = [(s, o) for s in range(boxes) for o in range(boxes) if s != o]
        chosen = chance.sample(every, min(pairs, len(every)))
        found.append(
            Request(
                image_id=str(number),
                pixels=pixels.permute(2, 0, 1),
                boxes=torch.cat([0.2 + 0.6 * centre, 0.1 + 0.2 * extent], 1),
                labels=[f"class {i % 20}" for i in range(boxes)],
                candidates=[(*pair, text) for pair in chosen for text in chance.sample(RELATIONS, 3)],
                classes=[f"class {i}" for i in range(4 if recorder.tiny else 80)],
            )
        )
    return found


LABELS = [NO_OBJECTS, *RELATIONS]
