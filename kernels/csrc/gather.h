// Where the four corners of a sampling point lie in memory: in a packed slice, or in the tensor as it is.
#pragma once

#include "sample.h"

namespace relforge::RF_ISA {

template <class T>
struct Corners {
    T* at[4];  // top left, top right, bottom left, bottom right
};

// A packed (batch, head) slice: padding makes every corner readable, so one index per point is enough.
template <class T>
struct PackedGather {
    static constexpr bool packed = true;
    T* base;
    int64_t pitch;  // floats per pixel

    RF_INLINE Corners<T> corners(const PackedGather& g, const Sample& s, const Points& points, int64_t p) {
        T* top = g.base + s.index[p] * g.pitch;
        T* bottom = top + points.stride[p] * g.pitch;
        return {{top, top + g.pitch, bottom, bottom + g.pitch}};
    }
};

// The tensor as it is, H * D numbers between pixels; corners outside the level use a separate line.
template <class T>
struct DirectGather {
    static constexpr bool packed = false;
    T* base;
    int64_t pitch;
    T* outside;

    RF_INLINE Corners<T> corners(const DirectGather& g, const Sample& s, const Points& points, int64_t p) {
        Corners<T> c;
        for (int k = 0; k < 4; ++k) {
            const int64_t index = s.index[k * points.padded + p];
            c.at[k] = index < 0 ? g.outside : g.base + index * g.pitch;
        }
        return c;
    }
};

}  // namespace relforge::RF_ISA
