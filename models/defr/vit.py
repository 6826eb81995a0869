"""Vision transformers as timm (ImageNet) and CLIP have them: one network, four switches.

Published differences: CLIP's patches have no bias, its tokens a normalisation in front of the blocks, its
feed-forward another activation, its norms another epsilon.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.defr.sizes import Sizes

EPSILON = {"imagenet": 1e-6, "clip": 1e-5}
RESIZING = {"imagenet": "bilinear", "clip": "bicubic"}


class QuickGelu(nn.Module):
    """CLIP's activation, x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1.702 * x).sigmoid()


class Attention(nn.Module):
    """Self-attention with one matrix for queries, keys and values.

    Args:
        width, heads: of the tokens.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, class_bias: Tensor | None = None) -> Tensor:
        """Tokens B x T x D.

        Args:
            class_bias: B x T, added to the attention scores of the class token's query, in all heads.
        """
        query, key, value = self._split(self.qkv(tokens))
        bias = None
        if class_bias is not None:
            bias = tokens.new_zeros(len(tokens), 1, tokens.shape[1], tokens.shape[1])
            bias[:, 0, 0] = class_bias
        return self._join(F.scaled_dot_product_attention(query, key, value, bias))

    def class_token(self, tokens: Tensor, class_bias: Tensor, rows: Tensor) -> Tensor:
        """What the class token reads, P x 1 x D, when keys and values of an image serve several pairs.

        Args:
            tokens: B x T x D.
            class_bias: P x T.
            rows: P indices of images.
        """
        query, key, value = self._split(self.qkv(tokens))
        query = query[rows, :, :1]
        bias = class_bias[:, None, None]
        return self._join(F.scaled_dot_product_attention(query, key[rows], value[rows], bias))

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """B x T x 3D to three of B x heads x T x (D / heads)."""
        query, key, value = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value

    def _join(self, heads: Tensor) -> Tensor:
        return self.out(heads.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm block: attention and feed-forward, each added to the tokens."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, epsilon = sizes.width, EPSILON[sizes.style]
        self.norm1, self.norm2 = nn.LayerNorm(width, epsilon), nn.LayerNorm(width, epsilon)
        self.attention = Attention(width, sizes.heads)
        self.fc1, self.fc2 = nn.Linear(width, sizes.feedforward), nn.Linear(sizes.feedforward, width)
        self.activation = QuickGelu() if sizes.style == "clip" else nn.GELU()

    def forward(self, tokens: Tensor, class_bias: Tensor | None = None) -> Tensor:
        """Tokens B x T x D; `class_bias` as `Attention` has it."""
        return self._feed_forward(tokens + self.attention(self.norm1(tokens), class_bias))

    def class_token(self, tokens: Tensor, class_bias: Tensor, rows: Tensor) -> Tensor:
        """The class token of P pairs, P x 1 x D; arguments as `Attention.class_token` has them."""
        read = self.attention.class_token(self.norm1(tokens), class_bias, rows)
        return self._feed_forward(tokens[rows, :1] + read)

    def _feed_forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.fc2(self.activation(self.fc1(self.norm2(tokens))))


class VisionTransformer(nn.Module):
    """Images to the feature of the class token.

    Args:
        sizes: width, depth, style and grid.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        clip, width = sizes.style == "clip", sizes.width
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + sizes.grid**2, width))
        self.patches = nn.Conv2d(3, width, sizes.patch, sizes.patch, bias=not clip)
        self.norm_before = nn.LayerNorm(width, EPSILON["clip"]) if clip else nn.Identity()
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(width, EPSILON[sizes.style])
        self.projection = nn.Linear(width, sizes.projection, bias=False) if sizes.projection else None

    def tokens(self, images: Tensor) -> Tensor:
        """Tokens in front of the blocks, B x (1 + patches) x D, the class token first, patches by rows.

        Args:
            images: B x 3 x S x S, normalised.
        """
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.positions
        return self.norm_before(tokens)

    def forward(self, images: Tensor) -> Tensor:
        """Features B x D of images B x 3 x S x S."""
        tokens = self.tokens(images)
        for block in self.blocks:
            tokens = block(tokens)
        return self.feature(tokens)

    def pair_features(self, images: Tensor, class_bias: Tensor, rows: Tensor, layers: int) -> Tensor:
        """Features P x D of box pairs: the last blocks' class token reads under a bias of its pair.

        What is in front of these blocks is computed once per image, and so are the keys and values of the
        last block where it is the only one.

        Args:
            images: B x 3 x S x S.
            class_bias: P x T, see `box_masks.class_bias`.
            rows: P indices of the pairs' images.
            layers: how many of the last blocks are masked, at least 1.

        Raises:
            ValueError: more blocks than there are, or fewer than 1.
        """
        if not 1 <= layers <= len(self.blocks):
            raise ValueError(f"mask layers: {layers}; the model has {len(self.blocks)} blocks")
        tokens = self.tokens(images)
        first = len(self.blocks) - layers
        for block in self.blocks[:first]:
            tokens = block(tokens)
        if layers > 1:  # patches attend to the class token, so they differ from pair to pair from here on
            tokens = tokens[rows]
            rows = torch.arange(len(rows), device=rows.device)
            for block in self.blocks[first:-1]:
                tokens = block(tokens, class_bias)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return self.feature(last.class_token(tokens, class_bias, rows))

    def feature(self, tokens: Tensor) -> Tensor:
        """The classifier's input, N x D, of tokens N x T x D."""
        feature = self.norm(tokens[:, 0])
        return feature if self.projection is None else self.projection(feature)


def resize_positions(positions: Tensor, grid: int, style: str) -> Tensor:
    """A table of positions for another grid, without antialias as published; the class row stays.

    Args:
        positions: (1 + n * n) x D.
        grid: patches per side of the new table.
        style: `imagenet` is interpolated linearly, as timm 0.4.12 does, which the release is built on (later
            versions differ); `clip` bicubically.

    Returns:
        (1 + grid * grid) x D.
    """
    side = round((len(positions) - 1) ** 0.5)
    if side == grid:
        return positions
    old = positions[1:].T.unflatten(1, (side, side))[None]
    new = F.interpolate(old, (grid, grid), mode=RESIZING[style], align_corners=False)[0]
    return torch.cat([positions[:1], new.flatten(1).T])
