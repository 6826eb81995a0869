"""Triton kernels of attention over caches: a caption to its own tokens, the captions of an image to it."""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def self_attention_kernel(
    qkv,
    cache,
    state,
    out,
    rows,
    scale,
    COLUMNS: tl.constexpr,
    LENGTH: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD: tl.constexpr,
    HEAD_2: tl.constexpr,
    MAX_LENGTH: tl.constexpr,
    MAX_LENGTH_2: tl.constexpr,
):
    """One row and head: the newest token's key and value go into the cache, its query attends to all."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel, place = tl.arange(0, HEAD_2), tl.arange(0, MAX_LENGTH_2)
    inside = channel < HEAD
    position = (tl.load(state + row * COLUMNS + LENGTH) - 1).to(tl.int32)
    own = qkv + (row * 3 * HEADS + head) * HEAD + channel
    query = tl.load(own, mask=inside, other=0.0).to(tl.float32)
    key = tl.load(own + HEADS * HEAD, mask=inside, other=0.0)
    value = tl.load(own + 2 * HEADS * HEAD, mask=inside, other=0.0)
    keys = cache + (row * HEADS + head) * MAX_LENGTH * HEAD
    values = keys + rows.to(tl.int64) * HEADS * MAX_LENGTH * HEAD
    tl.store(keys + position * HEAD + channel, key, mask=inside)
    tl.store(values + position * HEAD + channel, value, mask=inside)

    before = (place < position)[:, None] & inside[None, :]
    newest = (place == position)[:, None]
    offset = place[:, None] * HEAD + channel[None, :]
    all_keys = tl.where(newest, key[None, :], tl.load(keys + offset, mask=before, other=0.0)).to(tl.float32)
    scores = tl.sum(query[None, :] * all_keys, 1) * scale
    scores = tl.where(place <= position, scores, float("-inf"))
    weights = tl.exp(scores - tl.max(scores, 0))
    weights = weights / tl.sum(weights, 0)
    all_values = tl.where(newest, value[None, :], tl.load(values + offset, mask=before, other=0.0))
    mixed = tl.sum(weights[:, None] * all_values.to(tl.float32), 0)
    tl.store(out + (row * HEADS + head) * HEAD + channel, mixed.to(out.dtype.element_ty), mask=inside)


@triton.jit
def cross_attention_kernel(
    queries,
    cache,
    rows_of_images,
    out,
    rows,
    images,
    tokens,
    scale,
    SAMPLES: tl.constexpr,
    SAMPLES_2: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD: tl.constexpr,
    HEAD_2: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One image and head: the queries of its rows attend to its tokens. One without rows costs nothing."""
    image, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    sample, channel = tl.arange(0, SAMPLES_2), tl.arange(0, HEAD_2)
    inside = channel < HEAD
    row = tl.load(rows_of_images + image * SAMPLES + sample, mask=sample < SAMPLES, other=rows)
    present = row < rows
    if tl.sum(present.to(tl.int32), 0) > 0:
        own = (row[:, None] * HEADS + head) * HEAD + channel[None, :]
        read = present[:, None] & inside[None, :]
        query = tl.load(queries + own, mask=read, other=0.0)
        keys = cache + (image * HEADS + head) * tokens * HEAD
        values = keys + images.to(tl.int64) * HEADS * tokens * HEAD
        most = tl.full((SAMPLES_2,), float("-inf"), tl.float32)
        total = tl.zeros((SAMPLES_2,), tl.float32)
        mixed = tl.zeros((SAMPLES_2, HEAD_2), tl.float32)
        for start in range(0, tokens, BLOCK):
            token = start + tl.arange(0, BLOCK)
            valid = token < tokens
            offset = token[:, None] * HEAD + channel[None, :]
            there = valid[:, None] & inside[None, :]
            key = tl.load(keys + offset, mask=there, other=0.0)
            scores = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
            scores = tl.where(valid[None, :], scores, float("-inf"))
            new_most = tl.maximum(most, tl.max(scores, 1))
            weights = tl.exp(scores - new_most[:, None])
            shrink = tl.exp(most - new_most)
            total = total * shrink + tl.sum(weights, 1)
            value = tl.load(values + offset, mask=there, other=0.0)
            mixed = mixed * shrink[:, None] + tl.dot(weights.to(value.dtype), value, input_precision="ieee")
            most = new_most
        mixed = mixed / total[:, None]
        tl.store(out + own, mixed.to(out.dtype.element_ty), mask=read)
