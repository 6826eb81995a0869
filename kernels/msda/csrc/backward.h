// Gradients with respect to value, locations and weights, for all queries of one (batch, head). One thread owns the
// slice of the value gradient that it adds to: no atomics, and the sums do not depend on the number of threads.
#pragma once

#include "gather.h"

namespace relforge::RF_ISA {

template <class V, int Vectors, class T>
RF_INLINE typename V::F dot(const T* value, const typename V::F g[Vectors]) {
    typename V::F product = g[0] * V::load(value);
    for (int j = 1; j < Vectors; ++j) product = V::fma(g[j], V::load(value + j * V::N), product);
    return product;
}

template <class V, int Vectors>
RF_INLINE void add(float* to, float weight, const typename V::F g[Vectors]) {
    const auto w = V::set(weight);
    for (int j = 0; j < Vectors; ++j) V::store(to + j * V::N, V::fma(w, g[j], V::load(to + j * V::N)));
}

// N points from p0 on: adds weight * grad_output to the gradient of all their corners, and the dot products
// <grad_output, corner> to `dots`, lane = point. Both at once, because additions wait for stores and dot products do not.
template <class V, int Vectors, class Gather, class GradGather>
RF_INLINE void corner_gradients(const Gather gather, const GradGather gradient, const Sample s, const Points points,
                                int64_t p0, int64_t channel, const float* grad_output, typename V::F dots[4]) {
    using F = typename V::F;
    F g[Vectors];
    for (int j = 0; j < Vectors; ++j) g[j] = V::load(grad_output + channel + j * V::N);
#pragma GCC unroll 1
    for (int side = 0; side < 2; ++side) {  // top, then bottom: two products at a time fit the registers
        const float* weights = s.corner + 2 * side * points.padded + p0;
        const auto leaf = [=](int i, F& left, F& right) __attribute__((always_inline)) {
            const auto value = Gather::row(gather, s, points, p0 + i, side);
            const auto to = GradGather::row(gradient, s, points, p0 + i, side);
            left = dot<V, Vectors>(value.left + channel, g);
            right = dot<V, Vectors>(value.right + channel, g);
            add<V, Vectors>(to.left + channel, weights[i], g);
            add<V, Vectors>(to.right + channel, weights[points.padded + i], g);
        };
        F left, right;
        V::sum_each(leaf, left, right);
        dots[2 * side] = dots[2 * side] + left;
        dots[2 * side + 1] = dots[2 * side + 1] + right;
    }
}

// D numbers of a tensor in storage format, widened to `lanes` floats; the lanes beyond D are zero.
template <class V>
RF_INLINE void load_line(const rf_call& c, const void* tensor, int64_t at, int64_t lanes, float* line) {
    const bool narrow = c.storage == RF_BFLOAT16;
    for (int64_t j = 0; j < lanes; j += V::N) {
        const int64_t n = c.channels - j;
        V::store(line + j, narrow ? V::load(static_cast<const uint16_t*>(tensor) + at + j, n)
                                  : V::load(static_cast<const float*>(tensor) + at + j, n));
    }
}

// One (query, head): its points' gradients go to grad_locations and grad_weights from number `first` on, past the caches
// with `stream`.
template <class V, class Gather, class GradGather>
RF_INLINE void backward_query(const rf_call& c, const Points& points, const Gather& gather, const GradGather& gradient,
                              const Sample& s, const float* grad_output, int64_t lanes, int64_t first, bool stream) {
    using F = typename V::F;
    constexpr int Wide = V::N >= 16 ? 2 : 4;  // vectors of channels taken together
    const int64_t vectors = lanes / V::N;
    float* grad_attention = s.corner;  // each is free once it is added
    float expected = 0;
    for (int64_t k = 0; k < points.count; k += V::N) {
        F dots[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
        for (int64_t v = 0; v < vectors;) {
            if (vectors - v >= Wide) {
                corner_gradients<V, Wide>(gather, gradient, s, points, k, v * V::N, grad_output, dots);
                v += Wide;
            } else {
                corner_gradients<V, 1>(gather, gradient, s, points, k, v * V::N, grad_output, dots);
                v += 1;
            }
        }
        const F x = V::load(s.x + k), y = V::load(s.y + k), masked = V::load(s.masked + k);
        const F top_step = dots[1] - dots[0], bottom_step = dots[3] - dots[2];
        const F top = V::fma(x, top_step, dots[0]), bottom = V::fma(x, bottom_step, dots[2]);
        const F along_x = V::fma(y, bottom_step - top_step, top_step), along_y = bottom - top;
        const int64_t n = points.count - k < V::N ? points.count - k : V::N;
        const F grad_x = masked * along_x * V::load(s.scale_x + k), grad_y = masked * along_y * V::load(s.scale_y + k);
        float* to = c.grad_locations + 2 * (first + k);
        if (stream)
            V::stream_pairs(to, grad_x, grad_y);
        else
            V::store_pairs(to, n, grad_x, grad_y);
        const F grad_weight = V::fma(y, along_y, top);
        if (c.reference_dim) {
            const F attention = V::select(V::first(n), V::load(s.attention + k), V::zero());
            expected += V::sum(attention * grad_weight);
            V::store(grad_attention + k, grad_weight);
        } else if (stream) {
            V::stream(c.grad_weights + first + k, grad_weight);
        } else {
            V::store(c.grad_weights + first + k, grad_weight, n);
        }
    }
    if (!c.reference_dim) return;
    for (int64_t k = 0; k < points.count; k += V::N) {  // backward of the softmax
        const F attention = V::load(s.attention + k);
        const F grad_logit = attention * (V::load(grad_attention + k) - expected);
        if (stream)
            V::stream(c.grad_weights + first + k, grad_logit);
        else
            V::store(c.grad_weights + first + k, grad_logit, points.count - k);
    }
}

RF_INLINE void prefetch_gradient(const rf_call& c, int64_t line) {
    const int64_t bytes = c.channels * (c.storage == RF_BFLOAT16 ? 2 : 4);
    const char* at = static_cast<const char*>(c.grad_output) + line * bytes;
    for (int64_t k = 0; k < bytes; k += 64) __builtin_prefetch(at + k);
}

// All queries of (batch b, head h). `scratch` holds BLOCK samples and lines of `lanes` floats.
template <class V, class Gather, class GradGather>
static void backward_queries(const rf_call& c, const Points& points, const Gather& gather, const GradGather& gradient,
                             int64_t b, int64_t h, int64_t lanes, float* scratch) {
    const int64_t sample = SAMPLE_ARRAYS * points.padded;
    const bool stream = RF_STREAM && points.count % V::N == 0 && aligned<V>(c.grad_locations) && aligned<V>(c.grad_weights);
    float* lines = scratch + BLOCK * sample;
    for (int64_t first = 0; first < c.queries; first += BLOCK) {
        const int64_t last = first + BLOCK < c.queries ? first + BLOCK : c.queries;
        for (int64_t q = first; q < last; ++q) {
            const int64_t row = b * c.queries + q, line = row * c.heads + h;
            prepare<V, Gather, true>(c, points, gather, row, h, sample_at(scratch + (q - first) * sample, points.padded));
            load_line<V>(c, c.grad_output, line * c.channels, lanes, lines + (q - first) * lanes);
        }
        for (int64_t q = first; q < last; ++q) {
            const Sample s = sample_at(scratch + (q - first) * sample, points.padded);
            const int64_t row = b * c.queries + q, line = row * c.heads + h;
            prefetch_query(c, points, row + 2 * BLOCK, h);
            prefetch_gradient(c, line + 2 * BLOCK * c.heads);
            backward_query<V>(c, points, gather, gradient, s, lines + (q - first) * lanes, lanes, line * points.count, stream);
        }
    }
}

}  // namespace relforge::RF_ISA
