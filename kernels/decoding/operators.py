"""`relforge::decoder_*`: the kernels as operators of PyTorch, with shapes for the `meta` device.

On a GPU, or on the CPU under Triton's interpreter (`TRITON_INTERPRET=1`), which is how they are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from relforge.kernels.decoding import state as columns
from relforge.kernels.msda.triton_launch import power_of_two, why_unavailable

LIBRARY = torch.library.Library("relforge", "FRAGMENT")
MAX_K = 64
"""Most tokens that the choice keeps of a row."""
NORM = "Tensor weight, Tensor bias, float eps"
SCHEMAS = {
    "decoder_embed": f"(Tensor state, Tensor words, Tensor positions, {NORM}) -> Tensor",
    "decoder_add_norm": f"(Tensor x, Tensor? residual, {NORM}, bool gelu) -> Tensor",
    "decoder_self_attention": "(Tensor qkv, Tensor(a!) cache, Tensor state) -> Tensor",
    "decoder_cross_attention": "(Tensor queries, Tensor cache, Tensor rows_of_images) -> Tensor",
    "decoder_choose": (
        "(Tensor logits, Tensor? bias, Tensor(a!) state, Tensor? source, Tensor top_p, int top_k, int eos, "
        "int min_length, float temperature, float penalty) -> ()"
    ),
}


def why_not(device_type: str, dtype: torch.dtype) -> str | None:
    """Why the kernels cannot run tensors of this device and dtype, or None."""
    return None if device_type == "meta" else why_unavailable(device_type, dtype)


def embed(
    state: Tensor, words: Tensor, positions: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Tensor:
    """Layer norm of words[newest token] + positions[its place], rows x width."""
    from relforge.kernels.decoding.triton_rows import embed_kernel

    width = words.shape[1]
    out = words.new_empty(len(state), width)
    with _on(words):
        embed_kernel[(len(state),)](
            state, words, positions, weight, bias, out, eps,
            COLUMNS=state.shape[1], LENGTH=columns.LENGTH, HISTORY=columns.HISTORY,
            WIDTH=width, WIDTH_2=power_of_two(width),
        )  # fmt: skip
    return out


def add_norm(
    x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float, gelu: bool
) -> Tensor:
    """Layer norm of x + residual, or of GELU(x), rows x width; `x` is contiguous."""
    from relforge.kernels.decoding.triton_rows import add_norm_kernel

    out, width = torch.empty_like(x), x.shape[1]
    with _on(x):
        add_norm_kernel[(len(x),)](
            x, x if residual is None else residual, weight, bias, out, eps,
            ADD=residual is not None, GELU=gelu, WIDTH=width, WIDTH_2=power_of_two(width),
        )  # fmt: skip
    return out


def self_attention(qkv: Tensor, cache: Tensor, state: Tensor) -> Tensor:
    """Attention of each row's newest token to its caption; its key and value join the cache.

    Args:
        qkv: rows x (3 * width), contiguous.
        cache: {key, value} x rows x heads x max_length x head width, contiguous.
        state: of `state.py`.

    Returns:
        rows x width.
    """
    from relforge.kernels.decoding.triton_attention import self_attention_kernel

    _, rows, heads, max_length, head = cache.shape
    out = qkv.new_empty(rows, heads * head)
    with _on(qkv):
        self_attention_kernel[(rows, heads)](
            qkv, cache, state, out, rows, head**-0.5,
            COLUMNS=state.shape[1], LENGTH=columns.LENGTH, HEADS=heads, HEAD=head,
            HEAD_2=power_of_two(head), MAX_LENGTH=max_length, MAX_LENGTH_2=power_of_two(max_length),
        )  # fmt: skip
    return out


def cross_attention(queries: Tensor, cache: Tensor, rows_of_images: Tensor) -> Tensor:
    """Attention of rows to the image that each belongs to.

    Args:
        queries: rows x width, contiguous.
        cache: {key, value} x images x heads x tokens x head width, contiguous.
        rows_of_images: at most images x samples, rows of each image; `rows` where there is none.

    Returns:
        rows x width; rows of no image hold numbers without meaning.
    """
    from relforge.kernels.decoding.triton_attention import cross_attention_kernel

    _, images, heads, tokens, head = cache.shape
    rows, samples = len(queries), rows_of_images.shape[1]
    out = torch.empty_like(queries)
    with _on(queries):
        cross_attention_kernel[(len(rows_of_images), heads)](
            queries, cache, rows_of_images, out, rows, images, tokens, head**-0.5,
            SAMPLES=samples, SAMPLES_2=max(16, power_of_two(samples)), HEADS=heads, HEAD=head,
            HEAD_2=max(16, power_of_two(head)), BLOCK=64,
        )  # fmt: skip
    return out


def choose(
    logits: Tensor,
    bias: Tensor | None,
    state: Tensor,
    source: Tensor | None,
    top_p: Tensor,
    top_k: int,
    eos: int,
    min_length: int,
    temperature: float,
    penalty: float,
) -> None:
    """One more token for every running row of `state`, in place.

    Args:
        logits: any x vocabulary float32.
        bias: vocabulary float32, added to them.
        state: of `state.py`.
        source: which logits each row draws from; None: row i from logits i.
        top_p: one float64 on the device, since a kernel's numbers are float32.
        top_k: 1 to `MAX_K`.
        eos, min_length, temperature, penalty: see `models/blip/nucleus.py`.
    """
    from relforge.kernels.decoding.triton_choice import choose_kernel

    rows, vocabulary = len(state), logits.shape[1]
    k = min(top_k, vocabulary)
    slots = power_of_two(k)
    values = logits.new_empty(rows, slots)
    tokens = torch.empty(rows, slots, dtype=torch.int32, device=logits.device)
    block = power_of_two(vocabulary)
    with _on(logits):
        choose_kernel[(rows,)](
            logits, logits if bias is None else bias, state, state if source is None else source, top_p,
            values, tokens, vocabulary, eos, min_length, temperature, penalty,
            BIASED=bias is not None, MAPPED=source is not None, COLUMNS=state.shape[1],
            MAX_LENGTH=state.shape[1] - columns.HISTORY, K=k, K_2=slots,
            BLOCK=block, HALVINGS=block.bit_length(),
            RUNNING=columns.RUNNING, LENGTH=columns.LENGTH, LOGPROB=columns.LOGPROB, KEY=columns.KEY,
            SAMPLE=columns.SAMPLE, HISTORY=columns.HISTORY, num_warps=32 if block > 8192 else 4,
        )  # fmt: skip


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """The GPU of a tensor as the current one, which Triton launches on."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


def _register() -> None:
    kernels: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "decoder_embed": (embed, lambda state, words, *_: words.new_empty(len(state), words.shape[1])),
        "decoder_add_norm": (add_norm, lambda x, *_: torch.empty_like(x)),
        "decoder_self_attention": (
            self_attention,
            lambda qkv, *_: qkv.new_empty(len(qkv), qkv.shape[1] // 3),
        ),
        "decoder_cross_attention": (cross_attention, lambda queries, *_: torch.empty_like(queries)),
        "decoder_choose": (choose, lambda *_: None),
    }
    for name, (real, fake) in kernels.items():
        LIBRARY.define(name + SCHEMAS[name])
        LIBRARY.impl(name, real, "CompositeExplicitAutograd")
        torch.library.register_fake(f"relforge::{name}", fake, lib=LIBRARY)


_register()
