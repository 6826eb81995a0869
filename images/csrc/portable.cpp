// Plain loops, for processors without one of the vector instruction sets and for images narrower than a vector.
#include "isa.h"

namespace relforge {

namespace {

uint8_t level(int32_t sum) {
    const int32_t rounded = sum >> FRACTION_BITS;
    return static_cast<uint8_t>(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

void horizontal(const uint8_t* row, const Taps& taps, uint8_t* out) {
    for (int64_t o = 0; o < taps.outputs; ++o) {
        const uint8_t* pixel = row + 3 * taps.first[o];
        const int32_t* weights = taps.weights + o * taps.groups * 4;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int64_t t = 0; t < taps.count[o]; ++t, pixel += 3) {
            red += pixel[0] * weights[t];
            green += pixel[1] * weights[t];
            blue += pixel[2] * weights[t];
        }
        *out++ = level(red), *out++ = level(green), *out++ = level(blue);
    }
}

void vertical(const uint8_t* const* rows, const Taps& taps, int64_t output, uint8_t* out, int64_t bytes) {
    constexpr int64_t BLOCK = 256;  // sums that stay in the first-level cache
    const int32_t* weights = taps.weights + output * taps.groups * 4;
    for (int64_t begin = 0; begin < bytes; begin += BLOCK) {
        const int64_t size = bytes - begin < BLOCK ? bytes - begin : BLOCK;
        int32_t sums[BLOCK];
        for (int64_t x = 0; x < size; ++x) sums[x] = HALF;
        for (int64_t t = 0; t < taps.count[output]; ++t) {
            const uint8_t* row = rows[t] + begin;
            for (int64_t x = 0; x < size; ++x) sums[x] += row[x] * weights[t];
        }
        for (int64_t x = 0; x < size; ++x) out[begin + x] = level(sums[x]);
    }
}

}  // namespace

const Isa* portable_isa() {
    static const Isa isa{1, 1, 0, nullptr, horizontal, vertical};
    return &isa;
}

}  // namespace relforge
