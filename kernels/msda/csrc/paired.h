// The bfloat16 of a packed slice.
#pragma once

#include <stdint.h>

namespace relforge {

// One bfloat16 of a slice that keeps its storage dtype: half the bytes, so twice as much of the slice stays in the caches.
// Within a pixel two vectors of channels are interleaved, so that both widen without a permutation: number 2 i is channel i
// of the first vector, number 2 i + 1 is channel i of the second.
struct Paired {
    uint16_t bits;
};

}  // namespace relforge
