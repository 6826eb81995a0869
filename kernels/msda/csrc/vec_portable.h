// Four float lanes by the compiler's vector extension: SSE2, NEON or plain scalar code, as the target has it.
#pragma once

#include <stdint.h>
#include <string.h>

#include "paired.h"

#define RF_ISA portable
#define RF_INLINE static inline __attribute__((always_inline))

namespace relforge::portable {

struct Vec {
    static constexpr int N = 4;
    typedef float F __attribute__((vector_size(16)));
    typedef int32_t I __attribute__((vector_size(16)));
    using M = I;

    RF_INLINE M first(int64_t n) { return I{0, 1, 2, 3} < set(static_cast<int32_t>(n > N ? N : n)); }
    RF_INLINE F zero() { return F{0, 0, 0, 0}; }
    RF_INLINE F set(float x) { return F{x, x, x, x}; }
    RF_INLINE I set(int32_t x) { return I{x, x, x, x}; }
    RF_INLINE F load(const float* p) {
        F x;
        memcpy(&x, p, sizeof x);
        return x;
    }
    RF_INLINE float widen(uint16_t x) {  // bfloat16
        const uint32_t bits = static_cast<uint32_t>(x) << 16;
        float wide;
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    }
    RF_INLINE F load(const uint16_t* p) { return F{widen(p[0]), widen(p[1]), widen(p[2]), widen(p[3])}; }
    template <class T>
    RF_INLINE F load(const T* p, int64_t n) {
        if (n >= N) return load(p);
        T some[N] = {0};
        for (int64_t i = 0; i < n; ++i) some[i] = p[i];
        return load(some);
    }
    // Pairs of bfloat16 that share 32 bits, the low halves being one vector of channels and the high halves the next.
    RF_INLINE void split(const Paired* p, F& low, F& high) {
        typedef uint32_t U __attribute__((vector_size(16)));
        U both;
        memcpy(&both, p, sizeof both);
        const U shifted = both << 16, kept = both & 0xffff0000u;
        memcpy(&low, &shifted, sizeof low);
        memcpy(&high, &kept, sizeof high);
    }
    RF_INLINE void pair(Paired* p, F low, F high) {
        typedef uint32_t U __attribute__((vector_size(16)));
        U lower, upper;
        memcpy(&lower, &low, sizeof lower);
        memcpy(&upper, &high, sizeof upper);
        const U both = (lower >> 16) | upper;
        memcpy(p, &both, sizeof both);
    }
    RF_INLINE void store(float* p, F x) { memcpy(p, &x, sizeof x); }
    RF_INLINE void stream(float* p, F x) { store(p, x); }
    RF_INLINE void store(float* p, F x, int64_t n) {
        if (n >= N) return store(p, x);
        for (int64_t i = 0; i < n; ++i) p[i] = x[i];
    }
    RF_INLINE void store(uint16_t* p, F x, int64_t n) {
        uint32_t bits[N];
        memcpy(bits, &x, sizeof bits);
        for (int64_t i = 0; i < (n < N ? n : N); ++i) {
            const bool nan = (bits[i] & 0x7fffffffu) > 0x7f800000u;
            p[i] = static_cast<uint16_t>(nan ? 0x7fc0u : (bits[i] + 0x7fffu + ((bits[i] >> 16) & 1u)) >> 16);
        }
    }
    RF_INLINE void stream(uint16_t* p, F x) { store(p, x, N); }
    RF_INLINE I load(const int32_t* p) {
        I x;
        memcpy(&x, p, sizeof x);
        return x;
    }
    RF_INLINE void store(int32_t* p, I x) { memcpy(p, &x, sizeof x); }

    RF_INLINE F fma(F a, F b, F c) { return a * b + c; }
    RF_INLINE F max(F a, F b) { return select(a > b, a, b); }  // b where a lane is NaN
    RF_INLINE F floor(F x) {  // of values that fit an int; the caller masks the others
        const F whole = __builtin_convertvector(to_int(x), F);
        return whole - select(whole > x, set(1.0f), zero());
    }
    RF_INLINE F round(F x) { return floor(x + 0.5f); }
    RF_INLINE F times_power_of_two(F x, F n) {
        const I bits = (__builtin_convertvector(n, I) + 127) << 23;
        F scale;
        memcpy(&scale, &bits, sizeof scale);
        return x * scale;
    }
    RF_INLINE I to_int(F x) { return __builtin_convertvector(x, I); }
    RF_INLINE I add(I a, I b) { return a + b; }
    RF_INLINE I multiply(I a, I b) { return a * b; }

    RF_INLINE M at_least(F a, F b) { return a >= b; }
    RF_INLINE M below(F a, F b) { return a < b; }
    RF_INLINE M either_nan(F a, F b) { return (a != a) | (b != b); }
    RF_INLINE M both(M a, M b) { return a & b; }
    RF_INLINE F select(M m, F yes, F no) { return m ? yes : no; }
    RF_INLINE I select(M m, I yes, I no) { return m ? yes : no; }

    RF_INLINE float sum(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
    RF_INLINE float largest(F x) {
        const float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
        return a > b ? a : b;
    }

    RF_INLINE void load_pairs(const float* p, int64_t n, F& x, F& y) {
        const F a = load(p, 2 * n), b = n > N / 2 ? load(p + N, 2 * n - N) : zero();
        x = F{a[0], a[2], b[0], b[2]};
        y = F{a[1], a[3], b[1], b[3]};
    }
    RF_INLINE void store_pairs(float* p, int64_t n, F x, F y) {
        store(p, F{x[0], y[0], x[1], y[1]}, 2 * n);
        if (n > N / 2) store(p + N, F{x[2], y[2], x[3], y[3]}, 2 * n - N);
    }
    RF_INLINE void stream_pairs(float* p, F x, F y) { store_pairs(p, N, x, y); }
    RF_INLINE F lookup(const float* p, int64_t, I index) {
        return F{p[index[0]], p[index[1]], p[index[2]], p[index[3]]};
    }

    template <class Leaf>
    RF_INLINE void sum_each(const Leaf& leaf, F& left, F& right) {
        F a[N], b[N];
        for (int i = 0; i < N; ++i) leaf(i, a[i], b[i]);
        left = F{sum(a[0]), sum(a[1]), sum(a[2]), sum(a[3])};
        right = F{sum(b[0]), sum(b[1]), sum(b[2]), sum(b[3])};
    }
};

}  // namespace relforge::portable
