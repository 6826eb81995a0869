// Sixteen float lanes by AVX-512.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "paired.h"

#define RF_ISA avx512
#define RF_INLINE static inline __attribute__((always_inline))

namespace relforge::avx512 {

struct Vec {
    static constexpr int N = 16;
    using F = __m512;
    using I = __m512i;
    using M = __mmask16;

    RF_INLINE M first(int64_t n) { return static_cast<M>(n >= N ? 0xffffu : (1u << n) - 1u); }
    RF_INLINE F zero() { return _mm512_setzero_ps(); }
    RF_INLINE F set(float x) { return _mm512_set1_ps(x); }
    RF_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
    RF_INLINE F load(const uint16_t* p) {  // bfloat16
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
    }
    RF_INLINE F load(const float* p, int64_t n) { return n >= N ? load(p) : _mm512_maskz_loadu_ps(first(n), p); }
    RF_INLINE F load(const uint16_t* p, int64_t n) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), p)), 16));
    }
    // Pairs of bfloat16 that share 32 bits, the low halves being one vector of channels and the high halves the next: two
    // vectors from one load, widened by one instruction each.
    RF_INLINE void split(const Paired* p, F& low, F& high) {
        const I both = _mm512_loadu_si512(p);
        low = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
        high = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
    }
    RF_INLINE void pair(Paired* p, F low, F high) {
        _mm512_storeu_si512(p, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(low), 16), _mm512_castps_si512(high)));
    }
    RF_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
    RF_INLINE void stream(float* p, F x) { _mm512_stream_ps(p, x); }
    RF_INLINE void store(float* p, F x, int64_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
    RF_INLINE __m256i narrow(F x) {  // to the nearest bfloat16
        const I bits = _mm512_castps_si512(x);
        const I odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        I rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        rounded = _mm512_mask_mov_epi32(rounded, either_nan(x, x), _mm512_set1_epi32(0x7fc00000));
        return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
    }
    RF_INLINE void store(uint16_t* p, F x, int64_t n) { _mm256_mask_storeu_epi16(p, first(n), narrow(x)); }
    RF_INLINE void stream(uint16_t* p, F x) { _mm256_stream_si256((__m256i*)p, narrow(x)); }
    RF_INLINE I load(const int32_t* p) { return _mm512_loadu_si512(p); }
    RF_INLINE void store(int32_t* p, I x) { _mm512_storeu_si512(p, x); }
    RF_INLINE I set(int32_t x) { return _mm512_set1_epi32(x); }

    RF_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    RF_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }  // b where a lane is NaN
    RF_INLINE F floor(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
    RF_INLINE F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    RF_INLINE F times_power_of_two(F x, F n) { return _mm512_scalef_ps(x, n); }
    RF_INLINE I to_int(F x) { return _mm512_cvttps_epi32(x); }
    RF_INLINE I add(I a, I b) { return _mm512_add_epi32(a, b); }
    RF_INLINE I multiply(I a, I b) { return _mm512_mullo_epi32(a, b); }

    RF_INLINE M at_least(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
    RF_INLINE M below(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
    RF_INLINE M either_nan(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
    RF_INLINE M both(M a, M b) { return static_cast<M>(a & b); }
    RF_INLINE F select(M m, F yes, F no) { return _mm512_mask_mov_ps(no, m, yes); }
    RF_INLINE I select(M m, I yes, I no) { return _mm512_mask_mov_epi32(no, m, yes); }

    RF_INLINE float sum(F x) { return _mm512_reduce_add_ps(x); }
    RF_INLINE float largest(F x) { return _mm512_reduce_max_ps(x); }

    // x0 y0 x1 y1 ... -> x0 x1 ..., y0 y1 ...; reads n pairs, the rest are zero.
    RF_INLINE void load_pairs(const float* p, int64_t n, F& x, F& y) {
        const F a = load(p, 2 * n), b = n > N / 2 ? load(p + N, 2 * n - N) : zero();
        const I even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const I odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        x = _mm512_permutex2var_ps(a, even, b);
        y = _mm512_permutex2var_ps(a, odd, b);
    }
    RF_INLINE void store_pairs(float* p, int64_t n, F x, F y) {
        const I low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const I high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        store(p, _mm512_permutex2var_ps(x, low, y), 2 * n);
        if (n > N / 2) store(p + N, _mm512_permutex2var_ps(x, high, y), 2 * n - N);
    }
    RF_INLINE void stream_pairs(float* p, F x, F y) {
        const I low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const I high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        stream(p, _mm512_permutex2var_ps(x, low, y));
        stream(p + N, _mm512_permutex2var_ps(x, high, y));
    }
    // p[index], every index below `count`: a register permutation when the table fits one register.
    RF_INLINE F lookup(const float* p, int64_t count, I index) {
        if (count <= N) return _mm512_permutexvar_ps(index, load(p, count));
        return _mm512_i32gather_ps(index, p, 4);
    }

    // Lane i of the result is the sum over all lanes of leaf(i): a tree of 15 merges instead of 16 reductions.
    RF_INLINE F halves(F a, F b) {
        return _mm512_mask_mov_ps(a, 0xff00, b) + _mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(1, 0, 3, 2));
    }
    RF_INLINE F quarters(F a, F b) {
        return _mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(2, 0, 2, 0)) + _mm512_shuffle_f32x4(a, b, _MM_SHUFFLE(3, 1, 3, 1));
    }
    RF_INLINE F pairs(F a, F b) {
        return _mm512_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)) + _mm512_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2));
    }
    RF_INLINE F singles(F a, F b) {
        return _mm512_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)) + _mm512_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1));
    }
    template <class Leaf>
    RF_INLINE void sum_each(const Leaf& leaf, F& left, F& right) {
        struct Two {
            F left, right;
        };
        const auto at = [&](int i) __attribute__((always_inline)) {
            Two t;
            leaf(i, t.left, t.right);
            return t;
        };
        const auto first_merge = [&](int i) __attribute__((always_inline)) {
            const Two a = at(i), b = at(i + 4);
            return Two{halves(a.left, b.left), halves(a.right, b.right)};
        };
        const auto second_merge = [&](int i) __attribute__((always_inline)) {
            const Two a = first_merge(i), b = first_merge(i + 8);
            return Two{quarters(a.left, b.left), quarters(a.right, b.right)};
        };
        const auto third_merge = [&](int i) __attribute__((always_inline)) {
            const Two a = second_merge(i), b = second_merge(i + 1);
            return Two{pairs(a.left, b.left), pairs(a.right, b.right)};
        };
        const Two a = third_merge(0), b = third_merge(2);
        left = singles(a.left, b.left);
        right = singles(a.right, b.right);
    }
};

}  // namespace relforge::avx512
