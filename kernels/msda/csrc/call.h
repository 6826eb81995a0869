// One call of the operator as the C interface takes it, and the padded layout that the kernels use.
#pragma once

#include <stdint.h>

extern "C" {

// Storage of value, output and their gradients; everything else is float32.
enum { RF_FLOAT32 = 0, RF_BFLOAT16 = 1 };

// All arrays are contiguous, row-major. B batch, S pixels of all levels, H heads, D channels per head, Q queries, L levels,
// P points per level.
struct rf_call {
    int64_t batch, tokens, heads, channels, queries, levels, points;
    const int64_t* shapes;        // L x 2: rows, columns
    const void* value;            // B x S x H x D
    const float* locations;       // B x Q x H x L x P x 2: sampling locations, or raw offsets when fused
    const float* weights;         // B x Q x H x L x P: attention weights, or logits when fused
    const float* reference;       // B x Q x L x reference_dim when fused, else null
    int64_t reference_dim;        // 0: not fused; 2: points; 4: boxes
    const uint8_t* padding_mask;  // B x S, non-zero = the pixel counts as zero; or null
    void* output;                 // B x Q x (H D); forward only
    const void* grad_output;      // B x Q x (H D); backward only, as all below
    void* grad_value;             // B x S x H x D
    float* grad_locations;        // like locations
    float* grad_weights;          // like weights
    int64_t storage;              // RF_FLOAT32 or RF_BFLOAT16
    int64_t threads;              // at most this many
    int64_t layout;               // 0: choose; 1: direct; 2: packed (for tests and benchmarks)
};

}  // extern "C"

namespace relforge {

// Per sampling point (level l, point p at index l * P + p), padded to a whole number of vectors with entries of weight zero.
// Offsets count numbers in the packed layout, pixels in the direct one.
struct Points {
    int64_t count, padded;
    const float *width, *height;  // of the level, in pixels
    const int32_t* stride;        // from a row of pixels to the next: columns, in the packed layout one more
    const int32_t* origin;        // offset of pixel (0, 0)
    const int32_t* outside;       // packed: offset of a pixel whose four corners are all padding
    const int32_t* reference;     // index of the level's first number within a query's reference row
};

// The packed layout of one (batch, head): every level has a zero row above, a zero column on the left (which is also the
// right neighbour of the row before) and two zero rows below, so that all four corners of any sample can be read.
struct Layout {
    int64_t levels;
    const int64_t* rows;
    const int64_t* columns;
    const int64_t* token;   // first pixel of the level in value
    const int64_t* packed;  // first pixel of the level in the packed slice
    int64_t packed_pixels;  // of one slice
    int64_t lanes;          // channels of a packed pixel: D rounded up to whole vectors
};

}  // namespace relforge
