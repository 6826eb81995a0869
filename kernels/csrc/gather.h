// Where the corners of a sampling point lie in memory: in a packed slice, or in the tensor as it is.
#pragma once

#include "sample.h"

namespace relforge::RF_ISA {

template <class T>
struct Row {
    T *left, *right;  // corners of one side of a point: the top (0) or the bottom (1) one
};

// A packed (batch, head) slice: padding makes every corner readable, so a place per row of a point is enough.
// Pitch is the floats per pixel where they are known beforehand (addresses then need no arithmetic), else 0.
template <class T, int Pitch = 0>
struct PackedGather {
    static constexpr bool packed = true;
    T* base;
    int64_t lanes;  // floats per pixel

    RF_INLINE Row<T> row(const PackedGather& g, const Sample& s, const Points& points, int64_t p, int side) {
        T* left = g.base + s.index[side * points.padded + p];
        return {left, left + (Pitch ? Pitch : g.lanes)};
    }
};

// The tensor as it is, H * D numbers between pixels; corners outside the level use a separate line.
template <class T>
struct DirectGather {
    static constexpr bool packed = false;
    T* base;
    int64_t pitch;  // floats between pixels
    T* outside;

    RF_INLINE Row<T> row(const DirectGather& g, const Sample& s, const Points& points, int64_t p, int side) {
        const int32_t* index = s.index + 2 * side * points.padded + p;
        const int64_t left = index[0], right = index[points.padded];
        return {left < 0 ? g.outside : g.base + left * g.pitch, right < 0 ? g.outside : g.base + right * g.pitch};
    }
};

}  // namespace relforge::RF_ISA
