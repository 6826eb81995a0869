// From one (query, head)'s locations to pixel indices and corner weights, a whole vector of points at a time.
#pragma once

#include <math.h>

#include "call.h"

namespace relforge::RF_ISA {

// Arrays over the points of one (query, head), each `Points.padded` long. In the direct layout `index` holds four arrays of
// pixels, one per corner, with -1 for a corner outside the level; in the packed one two arrays of offsets,
// counted in numbers, of the top left and the bottom left corner. The forward pass leaves out what it does not read: the
// bottom left offsets, and all arrays from `masked` on.
struct Sample {
    int32_t* index;
    float* corner;    // four arrays: weight of top left, top right, bottom left, bottom right, times attention
    float* attention;
    float* masked;    // attention, but 0 where the point is outside and NaN where its location is
    float* x;         // fraction of a pixel to the right of the left corners
    float* y;
    float* scale_x;   // pixels per unit of the given location or offset
    float* scale_y;
};
constexpr int64_t SAMPLE_ARRAYS = 4 + 4 + 6;
constexpr int64_t BLOCK = 8;  // queries prepared together, so that their latencies overlap

RF_INLINE Sample sample_at(float* scratch, int64_t padded) {
    float* rest = scratch + 4 * padded;
    return {reinterpret_cast<int32_t*>(scratch),
            rest,
            rest + 4 * padded,
            rest + 5 * padded,
            rest + 6 * padded,
            rest + 7 * padded,
            rest + 8 * padded,
            rest + 9 * padded};
}

// Whether whole vectors from `data` on may be streamed.
template <class V>
RF_INLINE bool aligned(const void* data) {
    return reinterpret_cast<uintptr_t>(data) % (4 * V::N) == 0;
}

// exp of x <= 0, relative error below 2e-7 (minimax polynomial on half a binade); NaN stays NaN.
template <class V>
RF_INLINE typename V::F exp_negative(typename V::F x) {
    x = V::max(V::set(-86.0f), x);
    const typename V::F n = V::round(x * 1.44269504f);
    typename V::F r = V::fma(n, V::set(-0.693359375f), x);
    r = V::fma(n, V::set(2.12194440e-4f), r);
    typename V::F e = V::set(1.9875691500e-4f);
    e = V::fma(e, r, V::set(1.3981999507e-3f));
    e = V::fma(e, r, V::set(8.3334519073e-3f));
    e = V::fma(e, r, V::set(4.1665795894e-2f));
    e = V::fma(e, r, V::set(1.6666665459e-1f));
    e = V::fma(e, r, V::set(5.0000001201e-1f));
    e = V::fma(e, r * r, r + 1.0f);
    return V::times_power_of_two(e, n);
}

template <class V>
RF_INLINE void softmax(const float* logits, int64_t count, float* out) {
    using F = typename V::F;
    if (count <= V::N) {  // the usual 16 points: one register
        const auto inside = V::first(count);
        const F x = V::select(inside, V::load(logits, count), V::set(-INFINITY));
        const F e = exp_negative<V>(x - V::largest(x));
        const F kept = V::select(inside, e, V::zero());
        V::store(out, kept * (1.0f / V::sum(kept)));
        return;
    }
    F maxima = V::set(-INFINITY);
    for (int64_t k = 0; k < count; k += V::N) {
        const F x = V::select(V::first(count - k), V::load(logits + k, count - k), V::set(-INFINITY));
        maxima = V::max(maxima, x);
    }
    const float largest = V::largest(maxima);
    F total = V::zero();
    for (int64_t k = 0; k < count; k += V::N) {
        const F e = exp_negative<V>(V::load(logits + k, count - k) - largest);
        const F kept = V::select(V::first(count - k), e, V::zero());
        V::store(out + k, kept);
        total = total + kept;
    }
    const float scale = 1.0f / V::sum(total);
    for (int64_t k = 0; k < count; k += V::N) V::store(out + k, V::load(out + k) * scale);
}

// A head's numbers of the next query are a whole row of all heads away, which no hardware prefetcher follows.
RF_INLINE void prefetch_query(const rf_call& c, const Points& points, int64_t row, int64_t h) {
    const int64_t first = (row * c.heads + h) * points.count;
    for (int64_t k = 0; k < points.count; k += 16) {
        __builtin_prefetch(c.locations + 2 * (first + k));
        __builtin_prefetch(c.locations + 2 * (first + k) + 16);
        __builtin_prefetch(c.weights + first + k);
    }
}

// Fill `s` for query `row` = b * Q + q and head h. Only the backward pass needs more than offsets and corner weights.
template <class V, class Gather, bool Backward>
RF_INLINE void prepare(const rf_call& c, const Points& points, const Gather& gather, int64_t row, int64_t h, const Sample& s) {
    using F = typename V::F;
    using I = typename V::I;
    const int64_t count = points.count, first = (row * c.heads + h) * count;
    const float* locations = c.locations + 2 * first;
    const int64_t numbers = c.levels * c.reference_dim;
    const float* reference = c.reference + row * numbers;
    if (c.reference_dim) softmax<V>(c.weights + first, count, s.attention);
    for (int64_t k = 0; k < count; k += V::N) {
        const int64_t n = count - k;
        F x, y;
        V::load_pairs(locations + 2 * k, n < V::N ? n : V::N, x, y);
        F attention;
        if (c.reference_dim) {
            attention = V::load(s.attention + k);
        } else {
            attention = V::load(c.weights + first + k, n);
            V::store(s.attention + k, attention);
        }
        const F width = V::load(points.width + k), height = V::load(points.height + k);
        F scale_x = width, scale_y = height, shift_x = V::set(-0.5f), shift_y = shift_x;
        if (c.reference_dim) {
            const I at = V::load(points.reference + k);
            shift_x = V::fma(V::lookup(reference, numbers, at), width, shift_x);
            shift_y = V::fma(V::lookup(reference, numbers, V::add(at, V::set(1))), height, shift_y);
            if (c.reference_dim == 4) {
                const float half = 0.5f / static_cast<float>(c.points);
                scale_x = V::lookup(reference, numbers, V::add(at, V::set(2))) * width * half;
                scale_y = V::lookup(reference, numbers, V::add(at, V::set(3))) * height * half;
            } else {
                scale_x = scale_y = V::set(1.0f);
            }
        }
        x = V::fma(x, scale_x, shift_x);
        y = V::fma(y, scale_y, shift_y);
        // At least one corner is inside: false for NaN, whose weight becomes NaN so that it shows in the output.
        const F edge = V::set(-1.0f);
        const auto near = V::both(V::both(V::at_least(x, edge), V::below(x, width)),
                                  V::both(V::at_least(y, edge), V::below(y, height)));
        const F masked = V::select(V::either_nan(x, y), V::set(NAN), V::select(near, attention, V::zero()));
        x = V::select(near, x, V::zero());
        y = V::select(near, y, V::zero());
        const F left = V::floor(x), top = V::floor(y);
        x = x - left;
        y = y - top;
        const F below = masked * y, above = masked - below;
        const F bottom_right = below * x, top_right = above * x;
        V::store(s.corner + 0 * points.padded + k, above - top_right);
        V::store(s.corner + 1 * points.padded + k, top_right);
        V::store(s.corner + 2 * points.padded + k, below - bottom_right);
        V::store(s.corner + 3 * points.padded + k, bottom_right);
        if (Backward) {
            V::store(s.masked + k, masked);
            V::store(s.x + k, x);
            V::store(s.y + k, y);
            V::store(s.scale_x + k, scale_x);
            V::store(s.scale_y + k, scale_y);
        }
        Gather::template store_offsets<V, Backward>(gather, points, k, near, left, top, width, height, s.index + k);
    }
}

}  // namespace relforge::RF_ISA
