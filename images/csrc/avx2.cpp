// AVX2: two taps at a time in 16 bits, weights as 15 low bits and the rest.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "isa.h"

#define RF_ISA avx2
#define RF_INLINE static inline __attribute__((always_inline))

namespace relforge::avx2 {

struct Vec {
    using Bytes = __m256i;
    static constexpr int64_t QUADS = 2, PARTS = 4;

    // Even taps, odd taps: weight = low + 32768 * high, each a signed 16-bit number.
    static void split(const int32_t weights[4], int32_t* parts) {
        int16_t words[4][2];
        for (int t = 0; t < 4; ++t) {
            words[t % 2][t / 2] = static_cast<int16_t>(weights[t] & 0x7fff);
            words[2 + t % 2][t / 2] = static_cast<int16_t>(weights[t] >> 15);
        }
        memcpy(parts, words, sizeof words);
    }

    struct Sum {
        __m256i low = _mm256_set1_epi32(HALF), high = _mm256_setzero_si256();

        template <class Weights>
        inline __attribute__((always_inline)) void add(Bytes taps, const Weights& weights) {
            const __m256i even = _mm256_and_si256(taps, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(taps, 8);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(even, weights(0)));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(odd, weights(1)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(even, weights(2)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(odd, weights(3)));
        }
        inline __attribute__((always_inline)) __m256i levels() const {
            return _mm256_srai_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, 15), low), FRACTION_BITS);
        }
    };

    RF_INLINE __m256i load(const int32_t* words) { return _mm256_loadu_si256((const __m256i*)words); }
    RF_INLINE __m256i broadcast(int32_t word) { return _mm256_set1_epi32(word); }

    RF_INLINE Bytes gather(const uint8_t* row, const int64_t* first) {
        const auto pixel = [&](int i) { return _mm_loadu_si128((const __m128i*)(row + 3 * first[i])); };
        const __m128i by_channel = _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1);
        return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(pixel(0)), pixel(1), 1),
                                   _mm256_broadcastsi128_si256(by_channel));
    }

    RF_INLINE void interleave(const uint8_t* const* rows, int64_t x, Bytes four[4]) {
        const auto row = [&](int i) { return _mm256_loadu_si256((const __m256i*)(rows[i] + x)); };
        const __m256i a = row(0), b = row(1), c = row(2), d = row(3);
        const __m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpacklo_epi8(c, d);
        const __m256i AB = _mm256_unpackhi_epi8(a, b), CD = _mm256_unpackhi_epi8(c, d);
        four[0] = _mm256_unpacklo_epi16(ab, cd), four[1] = _mm256_unpackhi_epi16(ab, cd);
        four[2] = _mm256_unpacklo_epi16(AB, CD), four[3] = _mm256_unpackhi_epi16(AB, CD);
    }

    RF_INLINE void store_pixels(const Sum sums[2], uint8_t* out) {
        const __m256i words = _mm256_packs_epi32(sums[0].levels(), sums[1].levels());  // pixels 0, 2 | 1, 3
        const __m256i bytes = _mm256_packus_epi16(words, words);
        const __m128i quads = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
        const __m128i without_fourth = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
        const __m128i pixels = _mm_shuffle_epi8(quads, without_fourth);
        _mm_storel_epi64((__m128i*)out, pixels);
        const int32_t last = _mm_extract_epi32(pixels, 2);
        memcpy(out + 8, &last, 4);
    }

    RF_INLINE void store_row(const Sum sums[4], uint8_t* out) {
        const __m256i low = _mm256_packs_epi32(sums[0].levels(), sums[1].levels());
        const __m256i high = _mm256_packs_epi32(sums[2].levels(), sums[3].levels());
        _mm256_storeu_si256((__m256i*)out, _mm256_packus_epi16(low, high));
    }
};

}  // namespace relforge::avx2

#include "kernel.h"

namespace relforge {

const Isa* avx2_isa() {
    static const Isa isa{avx2::PIXELS, avx2::ROW, avx2::Vec::PARTS, avx2::Vec::split, avx2::horizontal, avx2::vertical};
    return __builtin_cpu_supports("avx2") ? &isa : nullptr;
}

}  // namespace relforge
