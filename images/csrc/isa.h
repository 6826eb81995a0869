// One instruction set's two passes over one row, compiled once per set.
//
// Every set computes the same pixels: the sums are exact in 32 bits, and are rounded and clipped as Pillow's.
#pragma once

#include <stdint.h>

namespace relforge {

constexpr int FRACTION_BITS = 22;  // of a weight; of 32, 8 are left for a level and 2 for the overshoot of cubic sums
constexpr int32_t HALF = 1 << (FRACTION_BITS - 1);

// One axis's weights as a pass reads them.
struct Taps {
    int64_t outputs, groups;
    const int64_t* first;    // input pixel (or row) of each output's first tap
    const int64_t* count;
    const int32_t* weights;  // outputs x groups x 4
    const int32_t* parts;    // from Isa::split; vertical: outputs x groups x Isa::parts words, horizontal: groups x
                             // Isa::parts x outputs x 4 equal words
};

struct Isa {
    int64_t pixels;  // fewest that `horizontal` can write
    int64_t bytes;   // fewest that `vertical` can write
    int64_t parts;   // 32-bit words per four weights, split so that narrow multiplications are exact
    void (*split)(const int32_t weights[4], int32_t* parts);
    // A row of RGB pixels to another width. Reads whole groups, 16 bytes at the start of each.
    void (*horizontal)(const uint8_t* row, const Taps& taps, uint8_t* out);
    // Output row `output` from the rows of its taps, 4 x groups of them (those without weight may be any).
    void (*vertical)(const uint8_t* const* rows, const Taps& taps, int64_t output, uint8_t* out, int64_t bytes);
};

const Isa* vnni_isa();  // null where not supported by this processor
const Isa* avx2_isa();
const Isa* portable_isa();

}  // namespace relforge
