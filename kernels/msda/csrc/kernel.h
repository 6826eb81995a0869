// The entry points of one instruction set, instantiated from its Vec.
#pragma once

#ifndef RF_STREAM
#define RF_STREAM 1
#endif

#include "backward.h"
#include "forward.h"
#include "isa.h"
#include "pack.h"

namespace relforge::RF_ISA {

constexpr int Usual = 32;  // channels of a head, for which the addresses are known to the compiler

static int64_t scratch(const Points& points, int64_t lanes) {
    return BLOCK * (SAMPLE_ARRAYS * points.padded + lanes);
}

static void pack_value(const rf_call& c, const Layout& layout, int64_t b, int64_t h, void* slice, bool paired) {
    if (paired) return pack<Vec, uint16_t>(c, layout, b, h, static_cast<Paired*>(slice));
    if (c.storage == RF_BFLOAT16) return pack<Vec, uint16_t>(c, layout, b, h, static_cast<float*>(slice));
    pack<Vec, float>(c, layout, b, h, static_cast<float*>(slice));
}

static void unpack_gradient(const rf_call& c, const Layout& layout, int64_t b, int64_t h, const float* slice) {
    if (c.storage == RF_BFLOAT16) return unpack<Vec, uint16_t>(c, layout, b, h, slice);
    unpack<Vec, float>(c, layout, b, h, slice);
}

// The numbers of head h of image b in a tensor of B x S x H x D.
template <class T>
static DirectGather<T> direct(const rf_call& c, T* tensor, int64_t b, int64_t h, T* outside) {
    return {tensor + (b * c.tokens * c.heads + h) * c.channels, c.heads * c.channels, outside};
}

// From a packed slice of T.
template <class T>
static void forward_packed(const rf_call& c, const Points& points, int64_t b, int64_t h, int64_t begin, int64_t end,
                           int64_t lanes, const T* slice, float* scratch) {
    if (lanes == Usual) {
        const PackedGather<const T, Usual> gather{slice, lanes};
        if (c.points == 4) return forward_queries<Vec, 4>(c, points, gather, b, h, begin, end, Usual, scratch);
        return forward_queries<Vec, 0>(c, points, gather, b, h, begin, end, Usual, scratch);
    }
    const PackedGather<const T> gather{slice, lanes};
    forward_queries<Vec, 0>(c, points, gather, b, h, begin, end, lanes, scratch);
}

static void forward(const rf_call& c, const Points& points, int64_t b, int64_t h, int64_t begin, int64_t end,
                    int64_t lanes, const void* slice, bool paired, const float* outside, float* scratch) {
    if (slice && paired) {
        forward_packed(c, points, b, h, begin, end, lanes, static_cast<const Paired*>(slice), scratch);
    } else if (slice) {
        forward_packed(c, points, b, h, begin, end, lanes, static_cast<const float*>(slice), scratch);
    } else if (c.storage == RF_BFLOAT16) {
        const auto zeros = static_cast<const uint16_t*>(static_cast<const void*>(outside));
        const auto gather = direct(c, static_cast<const uint16_t*>(c.value), b, h, zeros);
        forward_queries<Vec, 0>(c, points, gather, b, h, begin, end, lanes, scratch);
    } else {
        const auto gather = direct(c, static_cast<const float*>(c.value), b, h, outside);
        forward_queries<Vec, 0>(c, points, gather, b, h, begin, end, lanes, scratch);
    }
}

static void backward(const rf_call& c, const Points& points, int64_t b, int64_t h, int64_t lanes, const float* slice,
                     float* gradient, const float* outside, float* sink, float* scratch) {
    if (slice && lanes == Usual) {
        const PackedGather<const float, Usual> from{slice, lanes};
        const PackedGather<float, Usual> to{gradient, lanes};
        return backward_queries<Vec>(c, points, from, to, b, h, Usual, scratch);
    }
    if (slice) {
        const PackedGather<const float> from{slice, lanes};
        const PackedGather<float> to{gradient, lanes};
        return backward_queries<Vec>(c, points, from, to, b, h, lanes, scratch);
    }
    const auto from = direct(c, static_cast<const float*>(c.value), b, h, outside);
    const auto to = direct(c, static_cast<float*>(c.grad_value), b, h, sink);
    backward_queries<Vec>(c, points, from, to, b, h, lanes, scratch);
}

}  // namespace relforge::RF_ISA
