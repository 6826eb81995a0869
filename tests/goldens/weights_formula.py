"""Deterministic weights for the golden fixtures. Needs numpy only.

value(key, shape) depends on nothing but the reference state_dict key and the shape, so a
re-implementation can rebuild every tensor after mapping its own names to the reference's.
"""

import math
import re
import zlib

import numpy as np

_ALIAS = re.compile(r"transformer\.(ho|verb)_decoder\.(sub|obj)_bbox_embed\.(\d+)\.(.*)$")
_ROBERTA_EMB = re.compile(r"embeddings\.(word|position|token_type)_embeddings\.weight$")
_UNIT = (
    "query_embed.weight",
    "tgt_embed.weight",
    "verb_tgt_embed.weight",
    "refpoint_embed.weight",
    "transformer.verb_tgt.weight",
    "transformer.verb_query_embed.weight",
    "transformer.level_embed",
)


def canonical(key, dec_layers=3):
    """The decoder's box heads are the same tensors as the model's; they use one name."""
    m = _ALIAS.match(key)
    if not m:
        return key
    i = int(m.group(3)) + (dec_layers if m.group(1) == "verb" else 0)
    return f"{m.group(2)}_bbox_embed.{i}.{m.group(4)}"


def grid_bias(n_heads=8, n_levels=4, n_points=4):
    """The usual deformable-attention start: head h points along angle 2*pi*h/8, point p reaches p+1."""
    t = np.arange(n_heads, dtype=np.float64) * (2.0 * math.pi / n_heads)
    g = np.stack([np.cos(t), np.sin(t)], -1)
    g = g / np.abs(g).max(-1, keepdims=True)
    g = np.tile(g[:, None, None, :], (1, n_levels, n_points, 1))
    for p in range(n_points):
        g[:, :, p, :] *= p + 1
    return g.reshape(-1)


def value(key, shape, dec_layers=3):
    """float32 array for a floating tensor of the reference state_dict."""
    key = canonical(key, dec_layers)
    shape = tuple(int(s) for s in shape)
    z = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode("utf-8")))).standard_normal(shape)
    last = key.rsplit(".", 1)[-1]
    if last == "running_var":
        out = 1.0 + 0.1 * np.abs(z)
    elif last == "running_mean":
        out = 0.02 * z
    elif key.endswith("sampling_offsets.bias"):
        out = grid_bias() + 0.02 * z
    elif last in ("gamma_v", "gamma_l"):
        out = 0.25 + 0.02 * z
    elif len(shape) == 1:
        out = 1.0 + 0.02 * z if last == "weight" else 0.02 * z
    elif _ROBERTA_EMB.search(key):
        out = 0.02 * z
    elif key in _UNIT:
        out = z
    elif key == "projection_text.weight":
        out = 4.0 * z / math.sqrt(shape[1])
    else:  # Linear / in_proj_weight / conv: 1/sqrt(fan_in)
        out = z / math.sqrt(int(np.prod(shape[1:])))
    return out.astype(np.float32)


def image(h, w, phase):
    """3 x h x w float32 test image (already in the range the model takes; no further normalising)."""
    y, x = np.meshgrid(np.arange(h, dtype=np.float64), np.arange(w, dtype=np.float64), indexing="ij")
    c = np.arange(3, dtype=np.float64)[:, None, None]
    im = np.sin(0.05 * (c + 1) * x + 0.03 * y + c + phase) * np.cos(
        0.04 * (c + 1) * y - 0.02 * x + 0.5 * phase
    ) + 0.5 * np.sin(0.31 * x + 0.17 * (c + 1) * y + phase)
    return im.astype(np.float32)


def token_ids(text):
    """The stand-in tokenizer: one id per whitespace word; pad with 1 to the longest text of a call."""
    return [0] + [5 + zlib.crc32(w.encode("utf-8")) % 50000 for w in text.split()] + [2]
