"""Triton kernel of one program per row that draws the next token from its logits.

Penalty, minimum length, temperature, the k likeliest, nucleus, draw and log-probability in one pass over the
vocabulary, in the order of `models/blip/nucleus.py`, with equal logits taken in the order of their tokens.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton reads annotations itself: only `constexpr` may be written.
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def draw_uniform(key, sample, step):
    """Philox4x32-10 as `models/blip/uniform.py` has it: a float64 in (0, 1) of int64 scalars."""
    low = (tl.full((), 1, tl.int64) << 32) - 1
    k0, k1 = key & low, (key >> 32) & low
    c0, c1 = step & low, sample & low
    c2 = c0 * 0
    c3 = c0 * 0
    for _ in tl.static_range(10):
        p0 = c0 * 0xD2511F53
        p1 = c2 * 0xCD9E8D57
        n0 = ((p1 >> 32) & low) ^ c1 ^ k0
        n2 = ((p0 >> 32) & low) ^ c3 ^ k1
        c0, c1, c2, c3 = n0, p1 & low, n2, p0 & low
        k0 = (k0 + 0x9E3779B9) & low
        k1 = (k1 + 0xBB67AE85) & low
    bits = (c0 << 20) | (c1 >> 12)
    return (bits.to(tl.float64) + 0.5) * 2.220446049250313e-16


@triton.jit
def choose_kernel(
    logits,
    bias,
    state,
    source,
    top_p,
    values,
    tokens,
    vocabulary,
    eos,
    min_length,
    temperature,
    penalty,
    BIASED: tl.constexpr,
    MAPPED: tl.constexpr,
    COLUMNS: tl.constexpr,
    MAX_LENGTH: tl.constexpr,
    K: tl.constexpr,
    K_2: tl.constexpr,
    BLOCK: tl.constexpr,
    HALVINGS: tl.constexpr,
    RUNNING: tl.constexpr,
    LENGTH: tl.constexpr,
    LOGPROB: tl.constexpr,
    KEY: tl.constexpr,
    SAMPLE: tl.constexpr,
    HISTORY: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    state += row * COLUMNS
    if tl.load(state + RUNNING) != 0:
        length = tl.load(state + LENGTH)
        token = tl.arange(0, BLOCK)
        inside = token < vocabulary
        own = row
        if MAPPED:
            own = tl.load(source + row)
        raw = tl.load(logits + own * vocabulary + token, mask=inside, other=float("-inf"))
        if BIASED:
            raw += tl.load(bias + token, mask=inside, other=0.0)

        # log-sum-exp of the model itself
        most = tl.max(raw, 0)
        total = tl.log(tl.sum(tl.exp(raw - most), 0)) + most

        scores = raw
        for place in range(MAX_LENGTH):
            if place < length:
                seen = tl.load(state + HISTORY + place)
                picked = tl.load(logits + own * vocabulary + seen)
                if BIASED:
                    picked += tl.load(bias + seen)
                picked = tl.where(picked < 0, picked * penalty, tl.div_rn(picked, penalty))
                scores = tl.where(token == seen, picked, scores)
        scores = tl.where((token == eos) & (length < min_length), float("-inf"), scores)
        scores = tl.div_rn(scores, temperature)

        scores = tl.where(scores == 0, 0.0, scores)  # both zeros are equal
        # float bits as integers of the same order; the k-th largest by halving
        bits = scores.to(tl.int32, bitcast=True)
        order = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
        order = tl.where(inside, order, -0x7FFFFFFF - 1)  # from here on all that is kept of the row
        low = tl.full((), -0x7FFFFFFF - 1, tl.int64)
        high = tl.full((), 0x7FFFFFFF, tl.int64)
        for _ in range(32):
            middle = (low + high + 1) >> 1
            enough = tl.sum((order >= middle.to(tl.int32)).to(tl.int32), 0) >= K
            low = tl.where(enough, middle, low)
            high = tl.where(enough, high, middle - 1)
        least = low.to(tl.int32)
        above = order > least
        equal = (order == least) & inside
        wanted = K - tl.sum(above.to(tl.int32), 0)  # of the equal ones, by token
        first = tl.full((), 0, tl.int32)
        end = tl.full((), BLOCK, tl.int32)
        for _ in range(HALVINGS):
            middle_token = (first + end) >> 1
            enough = tl.sum((equal & (token < middle_token)).to(tl.int32), 0) >= wanted
            end = tl.where(enough, middle_token, end)
            first = tl.where(enough, first, middle_token + 1)
        taken = above | (equal & (token < end))
        slot = tl.cumsum(taken.to(tl.int32), 0) - 1
        bits = tl.where(order < 0, order ^ 0x7FFFFFFF, order)
        tl.store(values + row * K_2 + slot, bits.to(tl.float32, bitcast=True), mask=taken)
        tl.store(tokens + row * K_2 + slot, token, mask=taken)
        tl.debug_barrier()  # each thread now reads what others wrote

        at = tl.arange(0, K_2)
        count = tl.sum(taken.to(tl.int32), 0)
        best = tl.load(values + row * K_2 + at, mask=at < count, other=float("-inf"))
        chosen_token = tl.load(tokens + row * K_2 + at, mask=at < count, other=BLOCK)
        exponent = best.to(tl.float64) - tl.max(best, 0).to(tl.float64)
        probability = tl.where(at < count, tl.exp(exponent), 0.0)
        probability = probability / tl.sum(probability, 0)
        # likelier[i, j]: j comes before i
        likelier = (best[None, :] > best[:, None]) | (
            (best[None, :] == best[:, None]) & (chosen_token[None, :] < chosen_token[:, None])
        )
        before = tl.sum(tl.where(likelier, probability[None, :], 0.0), 1)
        kept = tl.where(before < tl.load(top_p), probability, 0.0)
        place_of = tl.sum(likelier.to(tl.int32), 1)
        cumulative = tl.sum(tl.where(likelier, kept[None, :], 0.0), 1) + kept
        drawn = draw_uniform(tl.load(state + KEY), tl.load(state + SAMPLE), length) * tl.sum(kept, 0)
        passed = tl.sum(((cumulative <= drawn) & (at < count)).to(tl.int32), 0)
        last = tl.sum((kept > 0).to(tl.int32), 0) - 1
        pick = tl.maximum(tl.minimum(passed, last), 0)
        here = (place_of == pick) & (at < count)
        chosen = tl.sum(tl.where(here, chosen_token, 0), 0)
        logit = tl.load(logits + own * vocabulary + chosen)
        if BIASED:
            logit += tl.load(bias + chosen)

        sum_of = (state + LOGPROB).to(tl.pointer_type(tl.float64), bitcast=True)
        tl.store(sum_of, tl.load(sum_of) + logit.to(tl.float64) - total.to(tl.float64))
        tl.store(state + HISTORY + length, chosen.to(tl.int64))
        tl.store(state + LENGTH, length + 1)
        ended = (chosen == eos) | (length + 1 == MAX_LENGTH)
        tl.store(state + RUNNING, tl.where(ended, 0, 1).to(tl.int64))
