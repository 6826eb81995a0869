// Linear layers: weights packed once, inputs packed in each call, after their layer norm and GELU.
#include <math.h>

#include "call.h"
#include "gemm.h"
#include "threads.h"
#include "vector.h"

namespace relforge {
namespace {

// Terms of a sum computed at a time: as many as keep the packed rows of an image in a 2 MB second-level cache.
template <int PARTS>
constexpr int64_t CHUNK = 1024 / PARTS;

// And of those as many as keep a block's rows and a panel's weights in a 48 kB first-level cache.
constexpr int64_t CACHED_TERMS = 256;

// Bytes above which an output is evicted from the caches before it is read again: it is written past them, so that the
// packed rows stay in them.
constexpr int64_t LARGE = int64_t{2} << 20;

int64_t padded(int64_t in) { return blocks(in, DEPTH) * DEPTH; }

// Packed weights: chunks of inputs x panels of 32 outputs x steps x parts x 2 tiles.
template <int PARTS>
void pack_weight(const float* weight, int64_t out, int64_t in, bf16* to) {
    for (int64_t begin = 0; begin < in; begin += CHUNK<PARTS>) {
        const int64_t end = in < begin + CHUNK<PARTS> ? in : begin + CHUNK<PARTS>;
        for (int64_t panel = 0; panel < blocks(out, BLOCK); ++panel)
            for (int64_t i = begin; i < end; i += DEPTH, to += STEP<PARTS>)
                for (int64_t column = 0; column < BLOCK; ++column) {
                    const int64_t o = panel * BLOCK + column;
                    const int64_t valid = o < out ? end - i : 0;  // the rest are zeros
                    const float* from = weight + (o < out ? o : 0) * in + i;
                    const __m512 a = _mm512_maskz_loadu_ps(lane_mask(valid), from);
                    const __m512 b = _mm512_maskz_loadu_ps(lane_mask(valid - 16), from + 16);
                    __m512i part[2];
                    split(a, b, part[0], part[1]);
                    for (int p = 0; p < PARTS; ++p) {  // 16 pairs down one column
                        uint32_t pairs[16];
                        _mm512_storeu_si512(pairs, part[p]);
                        bf16* tile = to + (2 * p + column / SIDE) * TILE + column % SIDE * 2;
                        for (int64_t r = 0; r < SIDE; ++r) memcpy(tile + r * DEPTH, &pairs[r], 4);
                    }
                }
    }
}

struct Moments {
    float mean, rstd;
};

Moments moments(const float* x, int64_t n, double eps) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lane_mask(n - i), x + i));
    const float mean = _mm512_reduce_add_ps(sum) / static_cast<float>(n);
    __m512 squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 valid = lane_mask(n - i);
        const __m512 d = _mm512_maskz_sub_ps(valid, _mm512_maskz_loadu_ps(valid, x + i), _mm512_set1_ps(mean));
        squares = _mm512_fmadd_ps(d, d, squares);
    }
    const double variance = _mm512_reduce_add_ps(squares) / static_cast<double>(n);
    return {mean, static_cast<float>(1.0 / sqrt(variance + eps))};
}

// Where 32 numbers of a packed row begin: chunks x blocks x 2 (upper, lower) x steps x parts tiles.
template <int PARTS>
int64_t packed_at(const RowBlocks& row_blocks, int64_t padded_in, int64_t row, int64_t term) {
    const int64_t chunk = term / CHUNK<PARTS> * CHUNK<PARTS>;
    const int64_t width = padded_in < chunk + CHUNK<PARTS> ? padded_in - chunk : CHUNK<PARTS>;
    const int64_t tile = row_blocks.count * BLOCK * chunk + row / SIDE * SIDE * width + (term - chunk) * SIDE;
    return PARTS * tile + row % SIDE * DEPTH;
}

template <int PARTS>
void pack_rows(const rf_linear& c, const RowBlocks& row_blocks, int64_t begin, int64_t end, bf16* to) {
    const int64_t padded_in = padded(c.in_features);
    for (int64_t row = begin; row < end; ++row) {
        const float* x = c.x + row * c.in_features;
        const Moments m = c.scale ? moments(x, c.in_features, c.eps) : Moments{0, 1};
        const __m512 rstd = _mm512_set1_ps(m.rstd), mean = _mm512_set1_ps(m.mean);
        const auto read = [&](int64_t i) {
            const __mmask16 valid = lane_mask(c.in_features - i);
            __m512 value = _mm512_maskz_loadu_ps(valid, x + i);
            if (c.scale) {
                value = _mm512_mul_ps(_mm512_sub_ps(value, mean), rstd);
                value = _mm512_maskz_fmadd_ps(valid, value, _mm512_maskz_loadu_ps(valid, c.scale + i),
                                              _mm512_maskz_loadu_ps(valid, c.shift + i));
            }
            return c.gelu && !c.packed_y ? gelu(value) : value;
        };
        const int64_t packed_row = row_blocks.packed_row(row);
        for (int64_t from = 0; from < padded_in; from += CHUNK<PARTS>) {
            bf16* line = to + packed_at<PARTS>(row_blocks, padded_in, packed_row, from);
            for (int64_t i = from; i < padded_in && i < from + CHUNK<PARTS>; i += DEPTH, line += PARTS * TILE)
                store_row<PARTS>(line, read(i), read(i + 16));
        }
    }
}

// Whether y is written past the caches, which needs whole cache lines.
bool bypasses_caches(const rf_linear& c) {
    return 4 * c.rows * c.out_features > LARGE && c.out_features % SIDE == 0 &&
           reinterpret_cast<uintptr_t>(c.y) % 64 == 0;
}

// y of one block from its sums: its rows, from `row` on, and 32 columns, from `column` on.
void store_output(const rf_linear& c, const RowBlocks& row_blocks, const float* sums, int64_t row, BlockRows rows,
                  int64_t column) {
    const bool streams = bypasses_caches(c);
    for (int64_t s = 0; s < 2; ++s) {
        const int64_t at = column + s * SIDE;
        const __mmask16 valid = lane_mask(c.out_features - at);
        if (!valid) return;
        const __m512 bias = _mm512_maskz_loadu_ps(valid, c.bias + at);
        for (int64_t r = 0; r < rows.upper + rows.lower; ++r) {
            const int64_t index = (row + r) * c.out_features + at;
            __m512 value = _mm512_add_ps(_mm512_load_ps(sums + row_blocks.sum_row(r) * BLOCK + s * SIDE), bias);
            if (c.residual) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(valid, c.residual + index));
            if (streams) {
                _mm512_stream_ps(c.y + index, value);
            } else {
                _mm512_mask_storeu_ps(c.y + index, valid, value);
            }
        }
    }
}

// The same, packed as the next layer's input, of which these columns are one step of terms.
template <int PARTS>
void store_packed_output(const rf_linear& c, const RowBlocks& row_blocks, const float* sums, int64_t block,
                         BlockRows rows, int64_t column) {
    __m512 bias[2];
    for (int64_t s = 0; s < 2; ++s)
        bias[s] = _mm512_maskz_loadu_ps(lane_mask(c.out_features - column - s * SIDE), c.bias + column + s * SIDE);
    for (int64_t r = 0; r < rows.upper + rows.lower; ++r) {
        const int64_t within = row_blocks.sum_row(r);
        __m512 value[2];
        for (int64_t s = 0; s < 2; ++s) {
            value[s] = _mm512_add_ps(_mm512_load_ps(sums + within * BLOCK + s * SIDE), bias[s]);
            if (c.gelu) value[s] = gelu(value[s]);
        }
        const int64_t at = packed_at<PARTS>(row_blocks, padded(c.out_features), block * BLOCK + within, column);
        store_row<PARTS>(static_cast<bf16*>(c.packed_y) + at, value[0], value[1]);
    }
}

// Panels [begin, end) of 32 outputs.
template <int PARTS>
void multiply_panels(const rf_linear& c, const RowBlocks& row_blocks, const bf16* rows, float* sums, int64_t begin,
                     int64_t end) {
    TileRegisters registers;
    alignas(64) float last[SUMS];
    const int64_t padded_in = padded(c.in_features), columns = blocks(c.out_features, BLOCK) * BLOCK;
    const bf16* weight = static_cast<const bf16*>(c.weight);
    const int64_t lines = blocks(STEP<PARTS> / 32, row_blocks.count);  // cache lines of weights to prefetch in each step
    const bool prefetches_output = !c.packed_y && !bypasses_caches(c);  // a store to a line outside the caches stalls
    for (int64_t chunk = 0; chunk < padded_in; chunk += CHUNK<PARTS>) {
        const int64_t width = padded_in < chunk + CHUNK<PARTS> ? padded_in - chunk : CHUNK<PARTS>;
        for (int64_t panel = begin; panel < end; ++panel) {
            const bf16* right = weight + PARTS * (chunk * columns + panel * BLOCK * width);
            float* partial_sums = sums + (padded_in > CHUNK<PARTS> ? panel : begin) * row_blocks.count * SUMS;
            for (int64_t from = chunk; from < chunk + width; from += CACHED_TERMS) {
                const int64_t left_over = chunk + width - from;
                const int64_t steps = (left_over < CACHED_TERMS ? left_over : CACHED_TERMS) / DEPTH;
                const bool complete = from + steps * DEPTH == padded_in;
                const bf16* next = right + steps * STEP<PARTS>;
                for (int64_t block = 0; block < row_blocks.count; ++block) {
                    const BlockRows here = row_blocks.rows(block);
                    const int64_t rows_here = here.upper + here.lower;
                    const float* first_row = c.y + block * row_blocks.size * c.out_features;
                    const auto fetch = [&](int64_t step) {
                        for (int64_t i = 0; i < lines; ++i, next += 32) _mm_prefetch(next, _MM_HINT_T1);
                        for (int64_t r = step; prefetches_output && complete && r < rows_here; r += steps)
                            for (int64_t s = 0; s < BLOCK; s += SIDE)
                                __builtin_prefetch(first_row + r * c.out_features + panel * BLOCK + s, 1, 2);
                    };
                    const bf16* left = rows + packed_at<PARTS>(row_blocks, padded_in, block * BLOCK, from);
                    float* partial = partial_sums + block * SUMS;
                    multiply<PARTS>(registers, here, left, PARTS * SIDE * width, right, steps, partial,
                                    complete ? last : partial, from > 0, fetch);
                    if (!complete) continue;
                    if (c.packed_y)
                        store_packed_output<PARTS>(c, row_blocks, last, block, here, panel * BLOCK);
                    else
                        store_output(c, row_blocks, last, block * row_blocks.size, here, panel * BLOCK);
                }
                right += steps * STEP<PARTS>;
            }
        }
    }
    _mm_sfence();  // makes what was written past the caches visible to other threads
}

template <int PARTS>
void linear(const rf_linear& c) {
    if (c.rows < 1) return;
    const RowBlocks row_blocks(c.rows);
    bf16* rows = static_cast<bf16*>(c.scratch);
    const int64_t packed_size = c.packed_x ? 0 : PARTS * padded(c.in_features) * row_blocks.count * BLOCK;
    float* sums = reinterpret_cast<float*>(rows + packed_size);
    const int64_t threads = useful_threads(c.rows * c.in_features * c.out_features, c.threads);
    if (!c.packed_x)
        parallel(c.rows, threads, [&](int64_t begin, int64_t end, int64_t) {
            pack_rows<PARTS>(c, row_blocks, begin, end, rows);
        });
    const bf16* left = c.packed_x ? static_cast<const bf16*>(c.packed_x) : rows;
    parallel(blocks(c.out_features, BLOCK), threads, [&](int64_t begin, int64_t end, int64_t) {
        multiply_panels<PARTS>(c, row_blocks, left, sums, begin, end);
    });
}

}  // namespace

int64_t weight_bytes(int64_t out, int64_t in, int64_t parts) {
    return 2 * parts * blocks(out, BLOCK) * BLOCK * padded(in);
}

void pack(const float* weight, int64_t out, int64_t in, int64_t parts, void* to) {
    parts == 2 ? pack_weight<2>(weight, out, in, static_cast<bf16*>(to))
               : pack_weight<1>(weight, out, in, static_cast<bf16*>(to));
}

int64_t packed_rows_bytes(int64_t rows, int64_t in, int64_t parts) {
    return 2 * parts * padded(in) * blocks(rows, BLOCK) * BLOCK;
}

int64_t linear_scratch(int64_t rows, int64_t in, int64_t out, int64_t parts) {
    return packed_rows_bytes(rows, in, parts) + 4 * SUMS * blocks(out, BLOCK) * blocks(rows, BLOCK);
}

void run(const rf_linear& c) { c.parts == 2 ? linear<2>(c) : linear<1>(c); }

}  // namespace relforge
