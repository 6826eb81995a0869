"""Names that detectron2 gives to the parts of a DETR, as its authors' code has them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from relforge.models.blocks.published_names import BACKBONE_PREFIX, Rule, rename_by

MODEL_PREFIX = "detr."
_BACKBONE = f"{MODEL_PREFIX}backbone.0.backbone."

_RESNET: list[Rule] = [
    (r"^stem\.conv1\.norm\.", "bn1."),
    (r"^stem\.conv1\.", "conv1."),
    (r"^res(\d)\.(\d+)\.conv(\d)\.norm\.", lambda m: f"layer{int(m[1]) - 1}.{m[2]}.bn{m[3]}."),
    (r"^res(\d)\.(\d+)\.conv(\d)\.", lambda m: f"layer{int(m[1]) - 1}.{m[2]}.conv{m[3]}."),
    (r"^res(\d)\.(\d+)\.shortcut\.norm\.", lambda m: f"layer{int(m[1]) - 1}.{m[2]}.downsample.1."),
    (r"^res(\d)\.(\d+)\.shortcut\.", lambda m: f"layer{int(m[1]) - 1}.{m[2]}.downsample.0."),
]


def torchvision_name(key: str) -> str:
    """A backbone's name as torchvision's models have it; another name as it is."""
    if not key.startswith(_BACKBONE):
        return key
    name = rename_by(_RESNET, key.removeprefix(_BACKBONE))
    return key if name is None else BACKBONE_PREFIX + name


def authors_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a DETR that detectron2 wrote, under its authors' names; others as they are."""
    return {torchvision_name(key).removeprefix(MODEL_PREFIX): tensor for key, tensor in state.items()}
