// The entry points of one instruction set, compiled once per set.
#pragma once

#include "call.h"

namespace relforge {

struct Isa {
    const char* name;
    int64_t width;  // float lanes per vector
    // Floats of scratch that forward and backward need per thread.
    int64_t (*scratch)(const Points& points, int64_t lanes);
    // slice <- value[b, :, h], as floats or as `Paired`.
    void (*pack)(const rf_call&, const Layout&, int64_t b, int64_t h, void* slice, bool paired);
    void (*unpack)(const rf_call&, const Layout&, int64_t b, int64_t h, const float* slice);
    // Queries [begin, end) of (b, h); from a packed slice, or from the tensor where slice is null (then `outside` is a
    // line of zeros).
    void (*forward)(const rf_call&, const Points&, int64_t b, int64_t h, int64_t begin, int64_t end, int64_t lanes,
                    const void* slice, bool paired, const float* outside, float* scratch);
    // All queries of (b, h); gradients go to the slice, or straight to grad_value where it is null (then `sink` is a
    // line that receives what falls outside).
    void (*backward)(const rf_call&, const Points&, int64_t b, int64_t h, int64_t lanes, const float* slice,
                     float* gradient, const float* outside, float* sink, float* scratch);
};

const Isa* avx512_isa();  // null where not compiled in or not supported by this processor
const Isa* avx2_isa();
const Isa* portable_isa();

}  // namespace relforge
