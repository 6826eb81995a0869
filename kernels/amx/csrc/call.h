// What Python passes. All numbers are float32 unless packed; sizes and strides count numbers, not bytes.
#pragma once

#include <stdint.h>

extern "C" {

// y = gelu(norm(x)) W^T + bias + residual
struct rf_linear {
    int64_t rows, in_features, out_features;
    int64_t parts;         // 1: operands rounded to bfloat16; 2: split into two
    const float* x;        // rows x in_features; null where `packed_x` is given
    const void* packed_x;  // `packed_y` of another layer, or null
    const void* weight;    // from rf_pack_weight
    const float* bias;     // out_features
    const float* scale;    // in_features, with `shift`: layer norm of x; or null
    const float* shift;
    double eps;
    int64_t gelu;           // applied to x, or to y where that is packed
    const float* residual;  // rows x out_features, or null; may be y
    float* y;               // rows x out_features, or null where `packed_y` is given
    void* packed_y;         // rf_packed_rows_bytes for gelu(y), the next layer's `packed_x`; or null
    void* scratch;          // rf_linear_scratch bytes
    int64_t threads;
};

// Attention with all heads, for some rows of a batch, each with keys of its own.
struct rf_attention {
    int64_t count;
    const int64_t* rows;                  // count: indices into q, packed and out
    int64_t queries, keys, heads, width;  // width: numbers per head
    int64_t parts;
    const float* q;  // q[row * q_batch_stride + query * q_row_stride + head * width]
    int64_t q_batch_stride, q_row_stride;
    const void* packed;  // from rf_pack_keys, row by row
    float* out;          // out[row * out_batch_stride + query * out_row_stride + head * width]
    int64_t out_batch_stride, out_row_stride;
    void* scratch;  // rf_attention_scratch bytes
    int64_t threads;
};

// Keys and values of all heads: k[token * row_stride + head * width], v alike.
struct rf_keys {
    int64_t keys, heads, width, parts;
    const float* k;
    const float* v;
    int64_t row_stride;
    void* packed;  // rf_keys_bytes bytes
    int64_t threads;
};
}
