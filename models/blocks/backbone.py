"""ResNet and Swin feature extractors: the last three stages, strides 8, 16 and 32.

The networks are transformers' own backbones; `backbone_keys.py` converts torchvision's and timm's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig, SwinBackbone, SwinConfig

from relforge.models.blocks.frozen_norm import freeze_batch_norms

_STAGES = ["stage2", "stage3", "stage4"]
_SWIN_FROZEN = ("norm", "relative_position_bias_table", "absolute_pos_embed")


class Backbone(nn.Module):
    """Images to three feature maps.

    Args:
        body: a transformers backbone whose `feature_maps` are these maps.
        channels: channels of those maps.
    """

    def __init__(self, body: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.body = body
        self.channels = tuple(channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images B x 3 x H x W -> maps B x C_i x ceil(H / s) x ceil(W / s), s = 8, 16, 32."""
        return list(self.body(images).feature_maps)


def resnet(*, embedding_size: int, hidden_sizes: Sequence[int], depths: Sequence[int]) -> Backbone:
    """A bottleneck ResNet (stride in the 3 x 3 convolution, as torchvision's) with frozen batch norm.

    Fewer than four stages make fewer maps: with three the last one has stride 16.

    The stem and the first stage are not trained (as in DETR).
    """
    config = ResNetConfig(
        embedding_size=embedding_size,
        hidden_sizes=list(hidden_sizes),
        depths=list(depths),
        layer_type="bottleneck",
    )
    config.out_features = _STAGES[: len(depths) - 1]
    body = ResNetBackbone(config)
    freeze_batch_norms(body)
    body.embedder.requires_grad_(False)
    body.encoder.stages[0].requires_grad_(False)
    return Backbone(body, hidden_sizes[1:])


def resnet50() -> Backbone:
    """ResNet-50: 512, 1024 and 2048 channels."""
    return resnet(embedding_size=64, hidden_sizes=(256, 512, 1024, 2048), depths=(3, 4, 6, 3))


def resnet101() -> Backbone:
    """ResNet-101: the same channels, 23 blocks in the third stage."""
    return resnet(embedding_size=64, hidden_sizes=(256, 512, 1024, 2048), depths=(3, 4, 23, 3))


def swin(
    *,
    embed_dim: int,
    depths: Sequence[int],
    heads: Sequence[int],
    window: int = 7,
    drop_path: float = 0.0,
    patch_size: int = 4,
    train_all: bool = False,
) -> Backbone:
    """A Swin transformer with one layer norm per output map.

    Fewer than four `depths` make fewer maps: with three the last one has stride 16.

    Norms, relative position tables and absolute positions are not trained, as published.

    Args:
        patch_size: pixels along a side of a patch; 2 halves every stride.
        train_all: they are trained too. A backbone that starts from random weights needs it: its position
            tables are noise.
    """
    config = SwinConfig(
        embed_dim=embed_dim,
        depths=list(depths),
        num_heads=list(heads),
        window_size=window,
        drop_path_rate=drop_path,
        patch_size=patch_size,
    )
    stages = len(depths) - 1
    config.out_features = _STAGES[:stages]
    body = SwinBackbone(config)
    body.swin.add_module(
        "layernorm", nn.Identity()
    )  # its output is not used: every map has a norm of its own
    for name, parameter in body.named_parameters():
        if not train_all and any(part in name for part in _SWIN_FROZEN):
            parameter.requires_grad_(False)
    return Backbone(body, [embed_dim * 2**i for i in (1, 2, 3)[:stages]])


def swin_tiny() -> Backbone:
    """Swin-T: 192, 384 and 768 channels."""
    return swin(embed_dim=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), drop_path=0.2)


def swin_large() -> Backbone:
    """Swin-L: 384, 768 and 1536 channels."""
    return swin(embed_dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), drop_path=0.5)


BACKBONES = {
    "resnet50": resnet50,
    "resnet101": resnet101,
    "swin_tiny": swin_tiny,
    "swin_large": swin_large,
}
"""Backbones by the name a config uses."""


def build_backbone(spec: str | Mapping[str, Any]) -> Backbone:
    """A backbone by name, or from `{"family": "resnet" | "swin", ...}` with the family's own arguments.

    Raises:
        ValueError: an unknown name or family.
    """
    if isinstance(spec, str):
        if spec not in BACKBONES:
            raise ValueError(f"unknown backbone {spec!r}; choose one of {', '.join(BACKBONES)}")
        return BACKBONES[spec]()
    families: dict[str, Callable[..., Backbone]] = {"resnet": resnet, "swin": swin}
    arguments = dict(spec)
    family = arguments.pop("family", None)
    if family not in families:
        raise ValueError(f"unknown backbone family {family!r}; choose one of {', '.join(families)}")
    return families[family](**arguments)
