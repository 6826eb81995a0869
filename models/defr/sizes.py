"""What a DEFR is built from."""

from __future__ import annotations

from dataclasses import dataclass

HEADS = ("cosine", "linear", "mixed")
STYLES = ("imagenet", "clip")
NORMALISATIONS = ("", "clip", "halves")
LOG_SCALE = 4.61
"""Natural logarithm of the published scale of the cosines, 100.48."""


@dataclass(frozen=True)
class Sizes:
    """What `model.sizes` of a recipe may hold; the defaults are ViT-B/32 as published.

    Args:
        image: side of the square that images are resized to, pixels.
        patch: side of a patch, pixels; 32 for B/32, 16 for B/16.
        width, layers, heads, feedforward: of the transformer.
        normalisation: of pixels, `clip` or `halves` (mean and deviation 0.5); empty: as the style's own
            backbones were trained, `halves` for `imagenet`. A BLIP's tower needs `clip`.
        style: `imagenet` (timm's ViT) or `clip` (CLIP's visual tower).
        head: `cosine`, `linear` or `mixed`, see `head.Classifier`.
        projection: width of CLIP's visual projection where it is kept; 0: it is removed, as published.
        log_scale: logarithm of what cosines are multiplied with; exactly 0: features are not normalised.

    Raises:
        ValueError: a size that cannot be, named.
    """

    image: int = 672
    patch: int = 32
    width: int = 768
    layers: int = 12
    heads: int = 12
    feedforward: int = 3072
    normalisation: str = ""
    style: str = "imagenet"
    head: str = "cosine"
    projection: int = 0
    log_scale: float = LOG_SCALE

    def __post_init__(self) -> None:
        for name, choices in (("style", STYLES), ("head", HEADS), ("normalisation", NORMALISATIONS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"sizes.{name}: {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if self.patch < 1 or self.image < self.patch or self.image % self.patch:
            raise ValueError(f"sizes.image: {self.image} pixels are not whole patches of {self.patch}")
        if self.heads < 1 or self.width % self.heads:
            raise ValueError(f"sizes.width: {self.width} is not a multiple of {self.heads} heads")
        if self.projection and self.style != "clip":
            raise ValueError("sizes.projection: only CLIP's tower has one; leave it out or set style: clip")

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image // self.patch

    @property
    def feature_width(self) -> int:
        """Width of what the classifier reads."""
        return self.projection or self.width
