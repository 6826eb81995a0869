// AVX-512 with VNNI (dot products of bytes): four taps at a time, weights as three signed bytes.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "isa.h"

#define RF_ISA vnni
#define RF_INLINE static inline __attribute__((always_inline))

namespace relforge::vnni {

struct Vec {
    using Bytes = __m512i;
    static constexpr int64_t QUADS = 4, PARTS = 3;

    // weight = low + 256 * middle + 65536 * high, each a signed byte
    static void split(const int32_t weights[4], int32_t* parts) {
        int8_t bytes[3][4];
        for (int t = 0; t < 4; ++t) {
            const int32_t middle = (weights[t] + 128) >> 8, high = (middle + 128) >> 8;
            bytes[0][t] = static_cast<int8_t>(weights[t] - 256 * middle);
            bytes[1][t] = static_cast<int8_t>(middle - 256 * high);
            bytes[2][t] = static_cast<int8_t>(high);
        }
        memcpy(parts, bytes, sizeof bytes);
    }

    struct Sum {
        __m512i low = _mm512_set1_epi32(HALF), middle = _mm512_setzero_si512(), high = _mm512_setzero_si512();

        template <class Weights>
        inline __attribute__((always_inline)) void add(Bytes taps, const Weights& weights) {
            low = _mm512_dpbusd_epi32(low, taps, weights(0));
            middle = _mm512_dpbusd_epi32(middle, taps, weights(1));
            high = _mm512_dpbusd_epi32(high, taps, weights(2));
        }
        inline __attribute__((always_inline)) __m512i levels() const {
            const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(high, 8), middle);
            return _mm512_srai_epi32(_mm512_add_epi32(_mm512_slli_epi32(upper, 8), low), FRACTION_BITS);
        }
    };

    RF_INLINE __m512i load(const int32_t* words) { return _mm512_loadu_si512(words); }
    RF_INLINE __m512i broadcast(int32_t word) { return _mm512_set1_epi32(word); }

    RF_INLINE Bytes gather(const uint8_t* row, const int64_t* first) {
        const auto pixel = [&](int i) { return _mm_loadu_si128((const __m128i*)(row + 3 * first[i])); };
        const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(pixel(0)), pixel(1), 1);
        const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(pixel(2)), pixel(3), 1);
        const __m128i by_channel = _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1);
        return _mm512_shuffle_epi8(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1),
                                   _mm512_broadcast_i32x4(by_channel));
    }

    RF_INLINE void interleave(const uint8_t* const* rows, int64_t x, Bytes four[4]) {
        const auto row = [&](int i) { return _mm512_loadu_si512(rows[i] + x); };
        const __m512i a = row(0), b = row(1), c = row(2), d = row(3);
        const __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
        const __m512i AB = _mm512_unpackhi_epi8(a, b), CD = _mm512_unpackhi_epi8(c, d);
        four[0] = _mm512_unpacklo_epi16(ab, cd), four[1] = _mm512_unpackhi_epi16(ab, cd);
        four[2] = _mm512_unpacklo_epi16(AB, CD), four[3] = _mm512_unpackhi_epi16(AB, CD);
    }

    RF_INLINE void store_pixels(const Sum* sum, uint8_t* out) {
        const __m128i quads = _mm512_cvtusepi32_epi8(_mm512_max_epi32(sum->levels(), _mm512_setzero_si512()));
        const __m128i without_fourth = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
        const __m128i pixels = _mm_shuffle_epi8(quads, without_fourth);
        _mm_storel_epi64((__m128i*)out, pixels);
        const int32_t last = _mm_extract_epi32(pixels, 2);
        memcpy(out + 8, &last, 4);
    }

    RF_INLINE void store_row(const Sum sums[4], uint8_t* out) {
        const __m512i low = _mm512_packs_epi32(sums[0].levels(), sums[1].levels());
        const __m512i high = _mm512_packs_epi32(sums[2].levels(), sums[3].levels());
        _mm512_storeu_si512(out, _mm512_packus_epi16(low, high));
    }
};

}  // namespace relforge::vnni

#include "kernel.h"

namespace relforge {

const Isa* vnni_isa() {
    static const Isa isa{vnni::PIXELS, vnni::ROW, vnni::Vec::PARTS, vnni::Vec::split, vnni::horizontal, vnni::vertical};
    const bool have = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    return have ? &isa : nullptr;
}

}  // namespace relforge
