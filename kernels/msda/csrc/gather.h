// Where the corners of a sampling point are in memory: in a packed slice, or in the tensor as it is.
#pragma once

#include <type_traits>

#include "paired.h"
#include "sample.h"

namespace relforge::RF_ISA {

template <class T>
struct Row {
    T *left, *right;  // corners of one side of a point: the top (0) or the bottom (1) one
};

// A packed (batch, head) slice: padding makes every corner readable, so the offset of the top left corner suffices.
// Pitch is the numbers per pixel where they are known beforehand (addresses then need no arithmetic), else 0.
template <class T, int Pitch = 0>
struct PackedGather {
    static constexpr bool paired = std::is_same_v<T, const Paired>;
    T* base;
    int64_t lanes;  // numbers per pixel

    RF_INLINE int64_t pitch(const PackedGather& g) { return Pitch ? Pitch : g.lanes; }

    RF_INLINE Row<T> row(const PackedGather& g, const Sample& s, const Points& points, int64_t p, int side) {
        T* left = g.base + s.index[side * points.padded + p];
        return {left, left + pitch(g)};
    }

    // The same without the stored offset of the bottom row; `row_stride` is that of the level.
    RF_INLINE Row<T> row(const PackedGather& g, const Sample& s, const Points&, int64_t p, int side, int64_t row_stride) {
        T* left = g.base + s.index[p] + side * row_stride;
        return {left, left + pitch(g)};
    }

    template <class V, bool Bottom>
    RF_INLINE void store_offsets(const PackedGather& g, const Points& points, int64_t k, typename V::M near, typename V::F left,
                          typename V::F top, typename V::F, typename V::F, int32_t* index) {
        const auto stride = V::load(points.stride + k);
        const auto row = V::add(V::load(points.origin + k), V::multiply(V::to_int(top), stride));
        const auto inside = V::add(row, V::multiply(V::to_int(left), V::set(static_cast<int32_t>(pitch(g)))));
        const auto offset = V::select(near, inside, V::load(points.outside + k));
        V::store(index, offset);
        if (Bottom) V::store(index + points.padded, V::add(offset, stride));
    }
};

// The tensor as it is, H * D numbers between pixels; corners outside the level read a separate line of zeros.
template <class T>
struct DirectGather {
    static constexpr bool paired = false;
    T* base;
    int64_t pitch;  // numbers between pixels
    T* outside;

    RF_INLINE Row<T> row(const DirectGather& g, const Sample& s, const Points& points, int64_t p, int side, int64_t = 0) {
        const int32_t* index = s.index + 2 * side * points.padded + p;
        const int64_t left = index[0], right = index[points.padded];
        return {left < 0 ? g.outside : g.base + left * g.pitch, right < 0 ? g.outside : g.base + right * g.pitch};
    }

    template <class V, bool>
    RF_INLINE void store_offsets(const DirectGather&, const Points& points, int64_t k, typename V::M near, typename V::F left,
                          typename V::F top, typename V::F width, typename V::F height, int32_t* index) {
        const auto stride = V::load(points.stride + k), none = V::set(-1), one = V::set(1);
        const auto row = V::add(V::load(points.origin + k), V::multiply(V::to_int(top), stride));
        const auto top_left = V::add(row, V::to_int(left)), bottom_left = V::add(top_left, stride);
        const auto left_in = V::both(near, V::at_least(left, V::zero()));
        const auto right_in = V::both(near, V::below(left + 1.0f, width));
        const auto top_in = V::at_least(top, V::zero()), bottom_in = V::below(top + 1.0f, height);
        V::store(index + 0 * points.padded, V::select(V::both(left_in, top_in), top_left, none));
        V::store(index + 1 * points.padded, V::select(V::both(right_in, top_in), V::add(top_left, one), none));
        V::store(index + 2 * points.padded, V::select(V::both(left_in, bottom_in), bottom_left, none));
        V::store(index + 3 * points.padded, V::select(V::both(right_in, bottom_in), V::add(bottom_left, one), none));
    }
};

}  // namespace relforge::RF_ISA
