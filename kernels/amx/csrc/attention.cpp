// softmax(q k^T / sqrt(width)) v for all heads; keys and values are packed once, for all queries to come.
#include <math.h>

#include "call.h"
#include "gemm.h"
#include "threads.h"
#include "vector.h"

namespace relforge {
namespace {

struct Sizes {
    int64_t key_blocks, width_blocks;  // of 32
    Sizes(int64_t keys, int64_t width) : key_blocks(blocks(keys, BLOCK)), width_blocks(blocks(width, BLOCK)) {}
    // How many numbers one head's packed keys have; its values have as many.
    int64_t head(int64_t parts) const { return key_blocks * width_blocks * BLOCK * DEPTH * parts; }
};

// 16 columns of 32 numbers each (of which `valid` exist), as a right tile and the one of their trailing parts,
// which begins two tiles later.
template <int PARTS>
void pack_columns(const float* from, int64_t stride, int64_t columns, int64_t valid, bf16* to) {
    __m512i part[PARTS][16];
    for (int64_t c = 0; c < SIDE; ++c) {
        const int64_t n = c < columns ? valid : 0;
        const float* x = from + (c < columns ? c : 0) * stride;
        __m512i trail;
        const __m512 low = _mm512_maskz_loadu_ps(lane_mask(n), x);
        split(low, _mm512_maskz_loadu_ps(lane_mask(n - 16), x + 16), part[0][c], trail);
        if (PARTS == 2) part[PARTS - 1][c] = trail;
    }
    for (int p = 0; p < PARTS; ++p) {  // pairs of numbers are words of 32 bits: transpose 16 x 16 of them
        const uint32_t* words = reinterpret_cast<const uint32_t*>(part[p]);
        uint32_t* tile = reinterpret_cast<uint32_t*>(to + 2 * p * TILE);
        const __m512i down = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                                _mm512_set1_epi32(16));
        for (int64_t r = 0; r < SIDE; ++r)
            _mm512_storeu_si512(tile + r * SIDE, _mm512_i32gather_epi32(down, words + r, 4));
    }
}

// 32 rows (of which `rows` exist) of 16 columns (`valid` exist), as pack_columns.
template <int PARTS>
void pack_pairs(const float* from, int64_t stride, int64_t rows, int64_t valid, bf16* to) {
    const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                                22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t r = 0; r < SIDE; ++r) {
        const __mmask16 upper = 2 * r < rows ? lane_mask(valid) : 0, lower = 2 * r + 1 < rows ? lane_mask(valid) : 0;
        const __m512 a = _mm512_maskz_loadu_ps(upper, from + (upper ? 2 * r : 0) * stride);
        const __m512 b = _mm512_maskz_loadu_ps(lower, from + (lower ? 2 * r + 1 : 0) * stride);
        __m512i lead, trail;
        split(a, b, lead, trail);
        _mm512_storeu_si512(to + r * DEPTH, _mm512_permutexvar_epi16(interleave, lead));
        if (PARTS == 2) _mm512_storeu_si512(to + 2 * TILE + r * DEPTH, _mm512_permutexvar_epi16(interleave, trail));
    }
}

template <int PARTS>
void pack_head(const rf_keys& c, int64_t head) {
    const Sizes sizes(c.keys, c.width);
    bf16* to = static_cast<bf16*>(c.packed) + head * 2 * sizes.head(PARTS);
    for (int64_t block = 0; block < sizes.key_blocks; ++block)  // panels of 32 keys x steps of 32 numbers
        for (int64_t step = 0; step < sizes.width_blocks; ++step, to += STEP<PARTS>)
            for (int64_t side = 0; side < 2; ++side) {
                const int64_t key = block * BLOCK + side * SIDE, i = step * DEPTH;
                const int64_t columns = c.keys - key < 0 ? 0 : c.keys - key;
                const float* from = c.k + (columns ? key : 0) * c.row_stride + head * c.width + i;
                pack_columns<PARTS>(from, c.row_stride, columns, c.width - i, to + side * TILE);
            }
    for (int64_t panel = 0; panel < sizes.width_blocks; ++panel)  // panels of 32 numbers x steps of 32 keys
        for (int64_t step = 0; step < sizes.key_blocks; ++step, to += STEP<PARTS>)
            for (int64_t side = 0; side < 2; ++side) {
                const int64_t key = step * DEPTH, i = panel * BLOCK + side * SIDE;
                const int64_t valid = c.width - i;
                const float* from = c.v + key * c.row_stride + head * c.width + (valid > 0 ? i : 0);
                pack_pairs<PARTS>(from, c.row_stride, c.keys - key, valid, to + side * TILE);
            }
}

// Floats from one block of scores to the next: with 1024, all scores of a query would map to one set of the cache.
constexpr int64_t SCORE_STRIDE = SUMS + BLOCK;

// Scores of one query, 32 in each block, to weights not yet divided by their sum, which is returned.
template <int PARTS>
float softmax_row(const float* scores, int64_t keys, bf16* line) {
    const int64_t whole = keys / BLOCK, rest = keys % BLOCK;
    const float* tail = scores + whole * SCORE_STRIDE;
    const __mmask16 valid[2] = {lane_mask(rest), lane_mask(rest - 16)};
    __m512 peak[2] = {_mm512_set1_ps(-INFINITY), _mm512_set1_ps(-INFINITY)};
    for (int s = 0; s < 2; ++s) {
        for (int64_t b = 0; b < whole; ++b)
            peak[s] = _mm512_max_ps(peak[s], _mm512_loadu_ps(scores + b * SCORE_STRIDE + s * 16));
        if (valid[s]) peak[s] = _mm512_mask_max_ps(peak[s], valid[s], peak[s], _mm512_loadu_ps(tail + s * 16));
    }
    const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(peak[0], peak[1])));
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t b = 0; b < whole; ++b, line += PARTS * TILE) {
        __m512 value[2];
        for (int s = 0; s < 2; ++s) {
            value[s] = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + b * SCORE_STRIDE + s * 16), top));
            sum[s] = _mm512_add_ps(sum[s], value[s]);
        }
        store_row<PARTS>(line, value[0], value[1]);
    }
    if (rest) {
        __m512 value[2];
        for (int s = 0; s < 2; ++s) {
            value[s] = _mm512_maskz_mov_ps(valid[s], exponential(_mm512_sub_ps(_mm512_loadu_ps(tail + s * 16), top)));
            sum[s] = _mm512_add_ps(sum[s], value[s]);
        }
        store_row<PARTS>(line, value[0], value[1]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

// Floats of scratch for one thread: a block of sums, a block row of scores, its queries and its weights.
int64_t scratch_floats(const Sizes& sizes) {
    return SUMS + SCORE_STRIDE * sizes.key_blocks + BLOCK * DEPTH * (sizes.width_blocks + sizes.key_blocks);
}

// Numbers between what is read and what is prefetched.
constexpr int64_t PREFETCH_DISTANCE = 8192;

template <int PARTS>
void attend_head(const rf_attention& c, int64_t row, int64_t head, float* scratch) {
    const Sizes sizes(c.keys, c.width);
    const int64_t padded_keys = sizes.key_blocks * BLOCK;
    float* sums = scratch;
    float* scores = sums + SUMS;  // key blocks x 32 queries x 32 keys
    bf16* queries = reinterpret_cast<bf16*>(scores + SCORE_STRIDE * sizes.key_blocks);
    bf16* weights = queries + BLOCK * DEPTH * sizes.width_blocks * PARTS;
    const bf16* keys = static_cast<const bf16*>(c.packed) + (row * c.heads + head) * 2 * sizes.head(PARTS);
    const bf16* values = keys + sizes.head(PARTS);
    const __m512 scale = _mm512_set1_ps(static_cast<float>(1.0 / sqrt(static_cast<double>(c.width))));
    const int64_t lower_offset = PARTS * SIDE * DEPTH * sizes.width_blocks;
    const int64_t lower_weights_offset = PARTS * SIDE * padded_keys;
    // A few queries, as in a step of decoding, wait for memory: keys and values are read once, in storage order.
    const bool prefetches = c.queries <= BLOCK;
    const bf16* next = keys + PREFETCH_DISTANCE;
    const auto fetch = [&](int64_t) {
        for (int64_t i = 0; prefetches && i < STEP<PARTS>; i += 32) _mm_prefetch(next + i, _MM_HINT_T0);
        next += STEP<PARTS>;
    };
    TileRegisters registers;
    const RowBlocks row_blocks(c.queries);
    for (int64_t block = 0; block < row_blocks.count; ++block) {
        const int64_t from = block * row_blocks.size;
        const BlockRows here = row_blocks.rows(block);
        const int64_t rows = here.upper + here.lower;
        for (int64_t r = 0; r < rows; ++r) {
            const float* q = c.q + row * c.q_batch_stride + (from + r) * c.q_row_stride + head * c.width;
            const int64_t at = row_blocks.sum_row(r);
            bf16* line = queries + at / SIDE * lower_offset + at % SIDE * DEPTH;
            for (int64_t i = 0; i < c.width; i += DEPTH, line += PARTS * TILE)
                store_row<PARTS>(line, _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(lane_mask(c.width - i), q + i)),
                           _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(lane_mask(c.width - i - 16), q + i + 16)));
        }
        for (int64_t b = 0; b < sizes.key_blocks; ++b)
            multiply<PARTS>(registers, here, queries, lower_offset, keys + b * sizes.width_blocks * STEP<PARTS>,
                            sizes.width_blocks, nullptr, scores + b * SCORE_STRIDE, false, fetch);
        float inverse_sum[BLOCK];
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = row_blocks.sum_row(r);
            bf16* line = weights + at / SIDE * lower_weights_offset + at % SIDE * DEPTH;
            inverse_sum[r] = 1.0f / softmax_row<PARTS>(scores + at * BLOCK, c.keys, line);
        }
        for (int64_t panel = 0; panel < sizes.width_blocks; ++panel) {
            const bf16* right = values + panel * sizes.key_blocks * STEP<PARTS>;
            multiply<PARTS>(registers, here, weights, lower_weights_offset, right, sizes.key_blocks, nullptr, sums, false,
                            fetch);
            for (int64_t r = 0; r < rows; ++r) {
                const int64_t column = head * c.width + panel * BLOCK;
                float* out = c.out + row * c.out_batch_stride + (from + r) * c.out_row_stride + column;
                const float* sum = sums + row_blocks.sum_row(r) * BLOCK;
                for (int64_t s = 0; s < BLOCK; s += SIDE)
                    _mm512_mask_storeu_ps(out + s, lane_mask(c.width - panel * BLOCK - s),
                                          _mm512_mul_ps(_mm512_loadu_ps(sum + s), _mm512_set1_ps(inverse_sum[r])));
            }
        }
    }
}

}  // namespace

int64_t keys_bytes(int64_t keys, int64_t heads, int64_t width, int64_t parts) {
    return 2 * heads * 2 * Sizes(keys, width).head(parts);
}

void pack(const rf_keys& c) {
    const int64_t threads = useful_threads(128 * c.heads * c.keys * c.width, c.threads);  // a number costs as much as 128 of them
    parallel(c.heads, threads, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t head = begin; head < end; ++head) c.parts == 2 ? pack_head<2>(c, head) : pack_head<1>(c, head);
    });
}

int64_t attention_scratch(int64_t keys, int64_t width, int64_t threads) {
    return 4 * threads * scratch_floats(Sizes(keys, width));
}

void run(const rf_attention& c) {
    const int64_t each = scratch_floats(Sizes(c.keys, c.width));
    const int64_t count = c.count * c.heads, work = 2 * count * c.queries * c.keys * c.width;
    parallel(count, useful_threads(work, c.threads), [&](int64_t begin, int64_t end, int64_t worker) {
        float* scratch = static_cast<float*>(c.scratch) + worker * each;
        for (int64_t i = begin; i < end; ++i) {
            const int64_t row = c.rows[i / c.heads], head = i % c.heads;
            c.parts == 2 ? attend_head<2>(c, row, head, scratch) : attend_head<1>(c, row, head, scratch);
        }
    });
}

}  // namespace relforge
