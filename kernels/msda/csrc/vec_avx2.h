// Eight float lanes by AVX2 and FMA.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "paired.h"

#define RF_ISA avx2
#define RF_INLINE static inline __attribute__((always_inline))

namespace relforge::avx2 {

struct Vec {
    static constexpr int N = 8;
    using F = __m256;
    using I = __m256i;
    using M = __m256;

    RF_INLINE I first_lanes(int64_t n) {
        const I lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > N ? N : static_cast<int>(n)), lane);
    }
    RF_INLINE M first(int64_t n) { return _mm256_castsi256_ps(first_lanes(n)); }
    RF_INLINE F zero() { return _mm256_setzero_ps(); }
    RF_INLINE F set(float x) { return _mm256_set1_ps(x); }
    RF_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
    RF_INLINE F load(const uint16_t* p) {  // bfloat16
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
    }
    RF_INLINE F load(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
    RF_INLINE F load(const uint16_t* p, int64_t n) {
        if (n >= N) return load(p);
        uint16_t some[N] = {0};
        for (int64_t i = 0; i < n; ++i) some[i] = p[i];
        return load(some);
    }
    // Pairs of bfloat16 that share 32 bits, the low halves being one vector of channels and the high halves the next.
    RF_INLINE void split(const Paired* p, F& low, F& high) {
        const I both = _mm256_loadu_si256((const __m256i*)p);
        low = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
        high = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
    }
    RF_INLINE void pair(Paired* p, F low, F high) {
        const I bits = _mm256_or_si256(_mm256_srli_epi32(_mm256_castps_si256(low), 16), _mm256_castps_si256(high));
        _mm256_storeu_si256((__m256i*)p, bits);
    }
    RF_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x); }
    RF_INLINE void stream(float* p, F x) { _mm256_stream_ps(p, x); }
    RF_INLINE void store(float* p, F x, int64_t n) {
        if (n >= N) return store(p, x);
        _mm256_maskstore_ps(p, first_lanes(n), x);
    }
    RF_INLINE __m128i narrow(F x) {  // to the nearest bfloat16
        const I bits = _mm256_castps_si256(x);
        const I odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        I rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        rounded = select(either_nan(x, x), _mm256_set1_epi32(0x7fc00000), rounded);
        const I high = _mm256_srli_epi32(rounded, 16);
        return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    }
    RF_INLINE void store(uint16_t* p, F x, int64_t n) {
        if (n >= N) return _mm_storeu_si128((__m128i*)p, narrow(x));
        alignas(16) uint16_t some[N];
        _mm_store_si128((__m128i*)some, narrow(x));
        for (int64_t i = 0; i < n; ++i) p[i] = some[i];
    }
    RF_INLINE void stream(uint16_t* p, F x) { _mm_stream_si128((__m128i*)p, narrow(x)); }
    RF_INLINE I load(const int32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
    RF_INLINE void store(int32_t* p, I x) { _mm256_storeu_si256((__m256i*)p, x); }
    RF_INLINE I set(int32_t x) { return _mm256_set1_epi32(x); }

    RF_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    RF_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }  // b where a lane is NaN
    RF_INLINE F floor(F x) { return _mm256_floor_ps(x); }
    RF_INLINE F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    RF_INLINE F times_power_of_two(F x, F n) {
        const I exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
        return x * _mm256_castsi256_ps(exponent);
    }
    RF_INLINE I to_int(F x) { return _mm256_cvttps_epi32(x); }
    RF_INLINE I add(I a, I b) { return _mm256_add_epi32(a, b); }
    RF_INLINE I multiply(I a, I b) { return _mm256_mullo_epi32(a, b); }

    RF_INLINE M at_least(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
    RF_INLINE M below(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
    RF_INLINE M either_nan(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
    RF_INLINE M both(M a, M b) { return _mm256_and_ps(a, b); }
    RF_INLINE F select(M m, F yes, F no) { return _mm256_blendv_ps(no, yes, m); }
    RF_INLINE I select(M m, I yes, I no) { return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(m)); }

    RF_INLINE float sum(F x) {
        const __m128 four = _mm256_castps256_ps128(x) + _mm256_extractf128_ps(x, 1);
        const __m128 two = four + _mm_movehl_ps(four, four);
        return _mm_cvtss_f32(two) + _mm_cvtss_f32(_mm_shuffle_ps(two, two, 1));
    }
    RF_INLINE float largest(F x) {
        const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
    }

    // x0 y0 x1 y1 ... -> x0 x1 ..., y0 y1 ...; reads n pairs, the rest are zero.
    RF_INLINE void load_pairs(const float* p, int64_t n, F& x, F& y) {
        const F a = load(p, 2 * n), b = n > N / 2 ? load(p + N, 2 * n - N) : zero();
        const F low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
        x = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0));
        y = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1));
    }
    RF_INLINE void store_pairs(float* p, int64_t n, F x, F y) {
        const F low = _mm256_unpacklo_ps(x, y), high = _mm256_unpackhi_ps(x, y);
        store(p, _mm256_permute2f128_ps(low, high, 0x20), 2 * n);
        if (n > N / 2) store(p + N, _mm256_permute2f128_ps(low, high, 0x31), 2 * n - N);
    }
    RF_INLINE void stream_pairs(float* p, F x, F y) {
        const F low = _mm256_unpacklo_ps(x, y), high = _mm256_unpackhi_ps(x, y);
        stream(p, _mm256_permute2f128_ps(low, high, 0x20));
        stream(p + N, _mm256_permute2f128_ps(low, high, 0x31));
    }
    // p[index], every index below `count`.
    RF_INLINE F lookup(const float* p, int64_t count, I index) {
        if (count <= N) return _mm256_permutevar8x32_ps(load(p, count), index);
        return _mm256_i32gather_ps(p, index, 4);
    }

    // Lane i of each result is the sum over all lanes of what leaf(i) gives: a tree of 7 merges.
    RF_INLINE F halves(F a, F b) { return _mm256_blend_ps(a, b, 0xf0) + _mm256_permute2f128_ps(a, b, 0x21); }
    RF_INLINE F pairs(F a, F b) {
        return _mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)) + _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2));
    }
    RF_INLINE F singles(F a, F b) {
        return _mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)) + _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1));
    }
    template <class Leaf>
    RF_INLINE void sum_each(const Leaf& leaf, F& left, F& right) {
        struct Two {
            F left, right;
        };
        const auto first_merge = [&](int i) __attribute__((always_inline)) {
            Two a, b;
            leaf(i, a.left, a.right);
            leaf(i + 4, b.left, b.right);
            return Two{halves(a.left, b.left), halves(a.right, b.right)};
        };
        const auto second_merge = [&](int i) __attribute__((always_inline)) {
            const Two a = first_merge(i), b = first_merge(i + 1);
            return Two{pairs(a.left, b.left), pairs(a.right, b.right)};
        };
        const Two a = second_merge(0), b = second_merge(2);
        left = singles(a.left, b.left);
        right = singles(a.right, b.right);
    }
};

}  // namespace relforge::avx2
