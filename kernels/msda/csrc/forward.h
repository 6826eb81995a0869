// The weighted sum over all corners of all points, for a run of queries of one (batch, head).
#pragma once

#include "gather.h"

namespace relforge::RF_ISA {

// Where the D numbers of one (query, head) go.
struct Line {
    void* tensor;
    int64_t at;
    bool narrow;  // bfloat16
    bool stream;  // past the caches: whole aligned vectors only
};

template <class V, int Vectors, class T>
RF_INLINE void load_channels(const T* from, typename V::F to[Vectors]) {
    if constexpr (std::is_same_v<T, Paired>) {
        static_assert(Vectors % 2 == 0, "vectors are interleaved in pairs");
        for (int j = 0; j < Vectors; j += 2) V::split(from + j * V::N, to[j], to[j + 1]);
    } else {
        for (int j = 0; j < Vectors; ++j) to[j] = V::load(from + j * V::N);
    }
}

// Channels [channel, channel + Vectors * N) of one (query, head).
template <class V, int Vectors, int PerLevel, class Gather>
RF_INLINE void weighted_sum(const Gather& gather, const Sample& s, const Points& points, int64_t points_per_level,
                            int64_t channel, int64_t channels, const Line& out) {
    using F = typename V::F;
    constexpr int Chains = Vectors >= 4 ? 2 : 4;  // independent sums hide the latency of the multiply-adds
    F sums[Chains][Vectors];
    for (int k = 0; k < Chains; ++k)
        for (int j = 0; j < Vectors; ++j) sums[k][j] = V::zero();
    const int64_t per_level = PerLevel ? PerLevel : points_per_level;
    for (int64_t first = 0; first < points.count; first += per_level) {
        const int64_t row_stride = points.stride[first];
#pragma GCC unroll 4
        for (int64_t i = 0; i < per_level; ++i) {
            const int64_t p = first + i;
            for (int side = 0; side < 2; ++side) {
                const auto row = Gather::row(gather, s, points, p, side, row_stride);
                for (int k = 0; k < 2; ++k) {
                    const F weight = V::set(s.corner[(2 * side + k) * points.padded + p]);
                    F corner[Vectors];
                    load_channels<V, Vectors>((k ? row.right : row.left) + channel, corner);
                    F* sum = sums[(2 * side + k) % Chains];
                    for (int j = 0; j < Vectors; ++j) sum[j] = V::fma(weight, corner[j], sum[j]);
                }
            }
        }
    }
    for (int j = 0; j < Vectors; ++j) {
        F sum = sums[0][j];
        for (int k = 1; k < Chains; ++k) sum = sum + sums[k][j];
        const int64_t at = channel + j * V::N, left = channels - at;
        if (out.stream && out.narrow)
            V::stream(static_cast<uint16_t*>(out.tensor) + out.at + at, sum);
        else if (out.stream)
            V::stream(static_cast<float*>(out.tensor) + out.at + at, sum);
        else if (out.narrow)
            V::store(static_cast<uint16_t*>(out.tensor) + out.at + at, sum, left);
        else
            V::store(static_cast<float*>(out.tensor) + out.at + at, sum, left);
    }
}

// Queries [begin, end) of (batch b, head h). `scratch` holds BLOCK samples.
template <class V, int PerLevel, class Gather>
static void forward_queries(const rf_call& call, const Points& tables, const Gather& gather, int64_t b, int64_t h,
                            int64_t begin, int64_t end, int64_t lanes, float* scratch) {
    const rf_call c = call;  // copies that no store can change stay in registers
    const Points points = tables;
    const int64_t vectors = lanes / V::N, sample = SAMPLE_ARRAYS * points.padded;
    const bool narrow = c.storage == RF_BFLOAT16;
    const bool stream = RF_STREAM && c.channels % V::N == 0 && aligned<V>(c.output);
    for (int64_t first = begin; first < end; first += BLOCK) {
        const int64_t last = first + BLOCK < end ? first + BLOCK : end;
        for (int64_t q = first; q < last; ++q) {
            const int64_t row = b * c.queries + q;
            prepare<V, Gather, false>(c, points, gather, row, h, sample_at(scratch + (q - first) * sample, points.padded));
        }
        for (int64_t q = first; q < last; ++q) {
            const Sample s = sample_at(scratch + (q - first) * sample, points.padded);
            prefetch_query(c, points, b * c.queries + q + 2 * BLOCK, h);
            const Line out{c.output, ((b * c.queries + q) * c.heads + h) * c.channels, narrow, stream};
            for (int64_t v = 0; v < vectors;) {
                const int64_t left = vectors - v;
                if (left >= 4) {
                    weighted_sum<V, 4, PerLevel>(gather, s, points, c.points, v * V::N, c.channels, out);
                    v += 4;
                } else if (left >= 2) {
                    weighted_sum<V, 2, PerLevel>(gather, s, points, c.points, v * V::N, c.channels, out);
                    v += 2;
                } else if constexpr (!Gather::paired) {
                    weighted_sum<V, 1, PerLevel>(gather, s, points, c.points, v * V::N, c.channels, out);
                    v += 1;
                }
            }
        }
    }
}

}  // namespace relforge::RF_ISA
