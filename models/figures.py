"""Parameters and floating-point operations of the published models, counted without weights or arithmetic.

The model is built on PyTorch's `meta` device, whose tensors have shapes alone, and one image passes through
it under PyTorch's own counter, which knows products of matrices, convolutions and attention; the sampling of
deformable attention is no such operation and is not counted.

    python -m relforge.models.figures [FAMILY ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import nn
from torch.fx.experimental import _config as torch_config
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.pair_queries import pad_pairs
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS, TextEncoder
from relforge.models.catalogue import FILE, read_catalogue
from relforge.models.zoo import MODELS, family

HEIGHT, WIDTH = 800, 1216
CLASSES, RELATIONS = 80, 117  # of HICO-DET
COCO_ROWS = 91
GIVEN_PAIRS = 100
_TEXT_WIDTH = 768  # of roberta-base


@dataclass(frozen=True)
class Setting:
    """What a published model is counted with.

    Args:
        sizes: what it has other than the defaults of its `Sizes`.
        backbone: by name.
        classes, relations, interactions: how many labels it tells apart.
        height, width: of the image, pixels.
    """

    sizes: Mapping[str, Any] = field(default_factory=dict)
    backbone: str = "resnet50"
    classes: int = CLASSES
    relations: int = RELATIONS
    interactions: int = 0
    height: int = HEIGHT
    width: int = WIDTH


_BOXES = Setting(classes=COCO_ROWS, relations=0)
SETTINGS = {
    "parseda": Setting(sizes={"feedforward": 2048}),
    "detr": _BOXES,
    "deformable_detr": _BOXES,
    "speaq": Setting(sizes={"predicate_copies": 2}, backbone="resnet101", classes=150, relations=50),
    "defr": Setting(sizes={"style": "clip"}, interactions=600, height=672, width=672),
}
"""Families that are counted with something else."""


def build_published(kind: str) -> nn.Module:
    """The published model with a text encoder of roberta-base's size, on `meta`."""
    entry, setting = family(kind), SETTINGS.get(kind, Setting())
    with torch.device("meta"):
        text = None
        if entry.labels == "open":
            config = AutoConfig.for_model(
                "roberta", vocab_size=50265, max_position_embeddings=514, type_vocab_size=1
            )
            text = TextEncoder(AutoModel.from_config(config), lambda label: [])
        return entry.build(
            entry.sizes(**setting.sizes),
            backbone=build_backbone(setting.backbone),
            text_encoder=text,
            classes=_names("class", setting.classes),
            relations=_names("relation", setting.relations),
            interactions=[(f"verb {index}", "object") for index in range(setting.interactions)],
        ).eval()


def count_parameters(model: nn.Module) -> int:
    """Trained or not; buffers do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def count_flops(kind: str, model: nn.Module) -> int:
    """Multiplications and additions of one image; the texts of labels are encoded once for all images and do
    not count."""
    entry, setting = family(kind), SETTINGS.get(kind, Setting())
    features = torch.empty(CLASSES + 1 + RELATIONS, _TEXT_WIDTH, device="meta")
    labels = Labels([*_names("class", CLASSES), NO_OBJECTS], _names("relation", RELATIONS), features)
    given = None
    if entry.noise is not None:
        boxes, classes = torch.full((GIVEN_PAIRS, 2, 4), 0.5), torch.zeros(GIVEN_PAIRS, 2, dtype=torch.long)
        made = pad_pairs([boxes], [classes], GIVEN_PAIRS)
        given = type(made)(**{f.name: _on_meta(getattr(made, f.name)) for f in fields(made)})
    for module in model.modules():  # single numbers are read, not only multiplied with
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() == 0:
                setattr(module, name, nn.Parameter(torch.zeros(())))
    model.requires_grad_(False)  # the counter follows gradients otherwise, even where there are none
    # every given pair is there, so that a mask of pairs selects all of them
    whole = torch_config.patch(meta_nonzero_assume_all_nonzero=True)
    with whole, FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, setting.height, setting.width, device="meta"), labels, None, given)
    return int(counter.get_total_flops())


def _names(what: str, count: int) -> list[str]:
    return [f"{what} {index}" for index in range(count)]


def _on_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, torch.Tensor) else value


def main(kinds: list[str]) -> None:
    """Rewrite the numbers of these families; by default of all."""
    found = {name: dict(entry) for name, entry in read_catalogue().items()}
    for kind in kinds or [name for name in found if name in MODELS]:
        model = build_published(kind)
        found[kind]["parameters"] = count_parameters(model)
        found[kind]["gflops"] = round(count_flops(kind, model) / 1e9, 1)
        print(f"{kind}: {found[kind]['parameters']:,} parameters, {found[kind]['gflops']} GFLOPs")
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
