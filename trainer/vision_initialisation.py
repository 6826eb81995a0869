"""Initial weights of a vision transformer that is trained on a few thousand images only.

From small random weights a transformer spends most of a short training on learning that neighbouring patches
belong together. These initial values contain that from the start; training may change them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import BlipVisionModel


@torch.no_grad()
def initialise_vision(vision: BlipVisionModel, images: Tensor, generator: torch.Generator) -> None:
    """Set patch embedding, position embedding and attention weights.

    Args:
        vision: the tower, square and with a width divisible by 4.
        images: B x 3 x S x S normalised, to measure the covariance of patches on.
        generator: of the random parts.
    """
    embeddings = vision.embeddings
    _whiten(embeddings.patch_embedding, images, generator)
    grid, width = math.isqrt(embeddings.num_patches), embeddings.embed_dim
    embeddings.position_embedding[0, 0] = 0
    embeddings.position_embedding[0, 1:] = _sinusoids(grid, width)
    for layer in vision.encoder.layers:
        _initialise_attention(layer.self_attn, generator)


def _whiten(patch: torch.nn.Conv2d, images: Tensor, generator: torch.Generator) -> None:
    """Project patches on their principal components, each of about unit variance.

    Most of a patch's variance is its mean colour; objects differ in the rest.
    """
    size = patch.kernel_size[0]
    patches = images.unfold(2, size, size).unfold(3, size, size)  # B x 3 x G x G x P x P
    rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * size * size).double()
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)  # largest first
    count = min(patch.out_channels, len(values))
    scaled = vectors[:, :count] / (values[:count] + 1e-2 * values.mean()).sqrt()  # D x count
    rotation = torch.linalg.qr(torch.randn(patch.out_channels, count, generator=generator).double()).Q
    weights = rotation @ scaled.T * 0.5
    patch.weight.copy_(weights.reshape(patch.weight.shape).float())
    if patch.bias is not None:
        patch.bias.copy_(-(weights @ mean).float())


def _sinusoids(grid: int, width: int) -> Tensor:
    """grid^2 x width: sines and cosines of row and column (Beyer et al., 2022, "Better plain ViTs")."""
    steps = torch.arange(grid).float()
    rates = 100.0 ** -(torch.arange(width // 4) / (width // 4 - 1))
    angles = steps[:, None] * rates  # grid x width / 4
    one = torch.cat([angles.sin(), angles.cos()], 1)  # grid x width / 2
    rows, columns = one[:, None].expand(-1, grid, -1), one[None].expand(grid, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


def _initialise_attention(attention: torch.nn.Module, generator: torch.Generator) -> None:
    """Query and key weights near the identity, so that tokens attend to similar ones and so to adjacent ones,
    whose positions are similar; value weights near minus the identity (Trockman and Kolter, 2023, "Mimetic
    Initialization of Self-Attention Layers", equations 3 to 6)."""
    width, heads = attention.embed_dim, attention.num_heads
    each = width // heads
    qkv = attention.qkv.weight  # 3 width x width: queries, keys, values
    eye = torch.eye(width)
    for head in range(heads):
        noise = torch.randn(width, width, generator=generator) / math.sqrt(width)
        u, s, v = torch.linalg.svd(0.7 * noise + 0.7 * eye)
        rows = slice(head * each, (head + 1) * each)
        qkv[rows] = u[:, :each].T * s[:each, None].sqrt()
        qkv[width:][rows] = v[:each] * s[:each, None].sqrt()
    noise = torch.randn(width, width, generator=generator) / math.sqrt(width)
    u, s, v = torch.linalg.svd(0.4 * noise - 0.4 * eye)
    qkv[2 * width :] = v * s[:, None].sqrt()
    attention.projection.weight.copy_(u * s.sqrt())
