// The two passes in vectors. Include after defining RF_ISA and its Vec, which has
//   Bytes         a vector whose 32-bit lanes hold four taps of one channel each
//   QUADS         its 16-byte parts; in the horizontal pass one output pixel each (red, green, blue and an unused lane)
//   gather        four input pixels for each of QUADS output pixels, as Bytes
//   interleave    16 x QUADS bytes of four rows, as four Bytes
//   Sum           a 32-bit sum of taps times weights in each lane, in parts, which `levels` adds up
//   store_pixels, store_row    sums, rounded and clipped, as bytes in memory
#include "isa.h"

namespace relforge::RF_ISA {

constexpr int64_t PIXELS = 4, VECTORS = PIXELS / Vec::QUADS, ROW = 16 * Vec::QUADS;

// The last vector of a row ends where the row ends: it computes a part of the one before it again.
static inline int64_t vector_start(int64_t begin, int64_t step, int64_t end) {
    return begin + step < end ? begin : end - step;
}

template <int64_t GROUPS>  // 0: any number
static void horizontal_groups(const uint8_t* row, const Taps& taps, uint8_t* out) {
    const int64_t outputs = taps.outputs, groups = GROUPS ? GROUPS : taps.groups, stride = outputs * 4;
    const int64_t* first = taps.first;
    const int32_t* parts = taps.parts;
    for (int64_t begin = 0; begin < outputs; begin += PIXELS) {
        const int64_t o = vector_start(begin, PIXELS, outputs);
        Vec::Sum sums[VECTORS];
        for (int64_t g = 0; g < groups; ++g)
            for (int64_t v = 0; v < VECTORS; ++v)
                sums[v].add(Vec::gather(row + 12 * g, first + o + v * Vec::QUADS), [&](int64_t part) {
                    return Vec::load(parts + (g * Vec::PARTS + part) * stride + 4 * (o + v * Vec::QUADS));
                });
        Vec::store_pixels(sums, out + 3 * o);
    }
}

static void horizontal(const uint8_t* row, const Taps& taps, uint8_t* out) {
    if (taps.groups == 1) horizontal_groups<1>(row, taps, out);
    else if (taps.groups == 2) horizontal_groups<2>(row, taps, out);
    else horizontal_groups<0>(row, taps, out);
}

static void vertical(const uint8_t* const* rows, const Taps& taps, int64_t output, uint8_t* out, int64_t bytes) {
    const int32_t* weights = taps.parts + output * taps.groups * Vec::PARTS;
    for (int64_t begin = 0; begin < bytes; begin += ROW) {
        const int64_t x = vector_start(begin, ROW, bytes);
        Vec::Sum sums[4];
        for (int64_t g = 0; g < taps.groups; ++g) {
            Vec::Bytes four[4];
            Vec::interleave(rows + 4 * g, x, four);
            for (int64_t v = 0; v < 4; ++v)
                sums[v].add(four[v], [&](int64_t part) { return Vec::broadcast(weights[g * Vec::PARTS + part]); });
        }
        Vec::store_row(sums, out + x);
    }
}

}  // namespace relforge::RF_ISA
