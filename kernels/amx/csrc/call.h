// What Python hands over. All numbers are float32 unless packed; sizes and strides count numbers, not bytes.
#pragma once

#include <stdint.h>

extern "C" {

// y = act(norm(x)) W^T + bias + residual
struct rf_linear {
    int64_t rows, in, out;
    int64_t parts;            // 1: operands rounded to bfloat16; 2: split into two
    const float* x;           // rows x in; null where `packed` has them
    const void* packed;       // rows left by another layer's `pack`, or null
    const void* weight;       // of rf_pack_weight
    const float* bias;        // out
    const float* scale;       // in, with `shift`: layer norm of x; or null
    const float* shift;
    double eps;
    int64_t gelu;             // apply it to x, or to y where that is packed
    const float* residual;    // rows x out, or null; may be y
    float* y;                 // rows x out, or null:
    void* pack;               // rf_packed_rows bytes for act(y), as the next layer's `packed`
    void* scratch;            // rf_linear_scratch bytes
    int64_t threads;
};

// Stacks of heads, each attending to the keys in its slot.
struct rf_attention {
    int64_t stacks;
    const int64_t* slots;     // stacks: where their queries, keys and answers lie
    int64_t queries, keys, heads, width;  // width: numbers per head
    int64_t parts;
    const float* q;           // q[slot * q_slot + query * q_row + head * width]
    int64_t q_slot, q_row;
    const void* packed;       // of rf_pack_keys, slot by slot
    float* out;               // out[slot * out_slot + query * out_row + head * width]
    int64_t out_slot, out_row;
    void* scratch;            // rf_attention_scratch bytes
    int64_t threads;
};

// Keys and values of one stack of heads: k[token * row + head * width], v alike.
struct rf_keys {
    int64_t keys, heads, width, parts;
    const float* k;
    const float* v;
    int64_t row;
    void* packed;             // rf_packed_keys bytes
    int64_t threads;
};
}
