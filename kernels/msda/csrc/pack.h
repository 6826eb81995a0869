// Between the tensor's layout (pixel, head, channel) and the packed slice of one (batch, head) described in call.h.
#pragma once

#include <string.h>

#include "sample.h"

namespace relforge::RF_ISA {

constexpr int64_t PACK_AHEAD = 12;  // pixels; each is one cache-line pair, H * D numbers from the last

// One pixel's `channels` numbers, and zeros up to `lanes`.
template <class V, class In>
RF_INLINE void pack_pixel(const In* from, int64_t channels, int64_t lanes, float* to) {
    for (int64_t j = 0; j < lanes; j += V::N) V::store(to + j, V::load(from + j, channels - j));
}

template <class V>
RF_INLINE void pack_pixel(const uint16_t* from, int64_t channels, int64_t lanes, Paired* to) {
    for (int64_t j = 0; j < lanes; j += 2 * V::N) {
        const int64_t left = channels - j - V::N;
        V::pair(to + j, V::load(from + j, channels - j), left > 0 ? V::load(from + j + V::N, left) : V::zero());
    }
}

// Copy value[b, :, h] into `slice`, zeroing padding, masked pixels and the lanes beyond D.
template <class V, class In, class Out>
static void pack(const rf_call& c, const Layout& layout, int64_t b, int64_t h, Out* slice) {
    const int64_t lanes = layout.lanes, pitch = c.heads * c.channels;
    const In* value = static_cast<const In*>(c.value) + (b * c.tokens * c.heads + h) * c.channels;
    const uint8_t* mask = c.padding_mask ? c.padding_mask + b * c.tokens : nullptr;
    for (int64_t l = 0; l < layout.levels; ++l) {
        const int64_t rows = layout.rows[l], columns = layout.columns[l];
        Out* to = slice + layout.packed[l] * lanes;
        memset(to, 0, static_cast<size_t>((columns + 1) * lanes) * sizeof(Out));
        to += (columns + 1) * lanes;
        for (int64_t y = 0; y < rows; ++y) {
            memset(to, 0, static_cast<size_t>(lanes) * sizeof(Out));
            to += lanes;
            for (int64_t x = 0; x < columns; ++x, to += lanes) {
                const int64_t token = layout.token[l] + y * columns + x;
                const In* from = value + token * pitch;
                __builtin_prefetch(from + PACK_AHEAD * pitch);
                __builtin_prefetch(reinterpret_cast<const char*>(from + PACK_AHEAD * pitch) + 64);
                if (mask && mask[token]) {
                    memset(to, 0, static_cast<size_t>(lanes) * sizeof(Out));
                    continue;
                }
                pack_pixel<V>(from, c.channels, lanes, to);
            }
        }
        memset(to, 0, static_cast<size_t>((columns + 3) * lanes) * sizeof(Out));
    }
}

// Write a packed gradient slice to grad_value[b, :, h]; masked pixels get zero.
template <class V, class Out>
static void unpack(const rf_call& c, const Layout& layout, int64_t b, int64_t h, const float* slice) {
    const int64_t lanes = layout.lanes, pitch = c.heads * c.channels;
    Out* gradient = static_cast<Out*>(c.grad_value) + (b * c.tokens * c.heads + h) * c.channels;
    const bool stream = RF_STREAM && c.channels % V::N == 0 && aligned<V>(c.grad_value);
    const uint8_t* mask = c.padding_mask ? c.padding_mask + b * c.tokens : nullptr;
    for (int64_t l = 0; l < layout.levels; ++l) {
        const int64_t rows = layout.rows[l], columns = layout.columns[l];
        for (int64_t y = 0; y < rows; ++y) {
            const float* from = slice + (layout.packed[l] + (y + 1) * (columns + 1) + 1) * lanes;
            for (int64_t x = 0; x < columns; ++x, from += lanes) {
                const int64_t token = layout.token[l] + y * columns + x;
                Out* to = gradient + token * pitch;
                if (mask && mask[token]) {
                    memset(to, 0, static_cast<size_t>(c.channels) * sizeof(Out));
                    continue;
                }
                if (stream) {
                    for (int64_t j = 0; j < c.channels; j += V::N) V::stream(to + j, V::load(from + j));
                    continue;
                }
                for (int64_t j = 0; j < c.channels; j += V::N) V::store(to + j, V::load(from + j), c.channels - j);
            }
        }
    }
}

}  // namespace relforge::RF_ISA
