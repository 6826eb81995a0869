"""Weights of the fixtures of the DETR line (g7 to g11): `weights_formula` times a factor for a few keys.

Without the factors a randomly filled DETR collapses: encoder tokens become nearly equal and all queries give
the same answer, so that a matcher or a suppression would be tested on ties.
"""

import re

import numpy as np

_CROSS_ATTENTION = re.compile(r"\.(multihead_attn|cross_attn_image)\.in_proj_weight$")
_LAST_BOX_LAYERS = ("sub_bbox_embed.layers.2.weight", "obj_bbox_embed.layers.2.weight")


def adapt(key: str, plain: np.ndarray) -> np.ndarray:
    """The tensor of a published key from that of `weights_formula.value`, float32."""
    w = plain.astype(np.float64)
    if key == "input_proj.weight":  # each filter sums to zero over its input channels
        w -= w.mean(axis=1, keepdims=True)
    elif key == "query_embed.weight" or key in _LAST_BOX_LAYERS:
        w *= 3.0
    elif key.endswith(".linear2.weight") or re.search(r"\.encoder\..*\.self_attn\.out_proj\.weight$", key):
        w *= 0.1
    elif _CROSS_ATTENTION.search(key):
        w[: 2 * w.shape[1]] *= 2.0  # rows of queries and keys
    elif key in ("obj_class_embed.weight", "verb_class_embed.weight"):
        w *= 2.0
    elif key in ("fusion_1.weight", "fusion_2.weight"):  # keeps OCN's squared difference from saturating
        w *= 0.5
    return w.astype(np.float32)
