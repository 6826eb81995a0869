// softmax(q k^T / sqrt(width)) v for a stack of heads; keys and values are packed once, for all who look at them.
#include <math.h>

#include "call.h"
#include "threads.h"
#include "tiles.h"
#include "vector.h"

namespace relforge {
namespace {

struct Sizes {
    int64_t key_blocks, width_blocks;  // 32s
    Sizes(int64_t keys, int64_t width) : key_blocks(blocks(keys, BLOCK)), width_blocks(blocks(width, BLOCK)) {}
    // Numbers of one head's packed keys; its values take as many.
    int64_t head(int64_t parts) const { return key_blocks * width_blocks * BLOCK * DEPTH * parts; }
};

// 16 columns of 32 numbers each (of which `there` exist), as a right tile and the one of their trailing parts,
// which begins two tiles later.
template <int PARTS>
void pack_columns(const float* from, int64_t stride, int64_t columns, int64_t there, half* to) {
    __m512i part[PARTS][16];
    for (int64_t c = 0; c < SIDE; ++c) {
        const int64_t n = c < columns ? there : 0;
        const float* x = from + (c < columns ? c : 0) * stride;
        __m512i trail;
        split(_mm512_maskz_loadu_ps(first(n), x), _mm512_maskz_loadu_ps(first(n - 16), x + 16), part[0][c], trail);
        if (PARTS == 2) part[PARTS - 1][c] = trail;
    }
    for (int p = 0; p < PARTS; ++p) {  // pairs of numbers are words of 32 bits: transpose 16 x 16 of them
        const uint32_t* words = reinterpret_cast<const uint32_t*>(part[p]);
        uint32_t* tile = reinterpret_cast<uint32_t*>(to + 2 * p * TILE);
        const __m512i down = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                                _mm512_set1_epi32(16));
        for (int64_t r = 0; r < SIDE; ++r) _mm512_storeu_si512(tile + r * SIDE, _mm512_i32gather_epi32(down, words + r, 4));
    }
}

// 32 rows (of which `rows` exist) of 16 columns (`there` exist), as pack_columns.
template <int PARTS>
void pack_pairs(const float* from, int64_t stride, int64_t rows, int64_t there, half* to) {
    const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                                22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t r = 0; r < SIDE; ++r) {
        const __mmask16 upper = 2 * r < rows ? first(there) : 0, lower = 2 * r + 1 < rows ? first(there) : 0;
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
    half* to = static_cast<half*>(c.packed) + head * 2 * sizes.head(PARTS);
    for (int64_t block = 0; block < sizes.key_blocks; ++block)  // panels of 32 keys x steps of 32 numbers
        for (int64_t step = 0; step < sizes.width_blocks; ++step, to += STEP<PARTS>)
            for (int64_t side = 0; side < 2; ++side) {
                const int64_t key = block * BLOCK + side * SIDE, i = step * DEPTH;
                const int64_t columns = c.keys - key < 0 ? 0 : c.keys - key;
                const float* from = c.k + (columns ? key : 0) * c.row + head * c.width + i;
                pack_columns<PARTS>(from, c.row, columns, c.width - i, to + side * TILE);
            }
    for (int64_t panel = 0; panel < sizes.width_blocks; ++panel)  // panels of 32 numbers x steps of 32 keys
        for (int64_t step = 0; step < sizes.key_blocks; ++step, to += STEP<PARTS>)
            for (int64_t side = 0; side < 2; ++side) {
                const int64_t key = step * DEPTH, i = panel * BLOCK + side * SIDE;
                const int64_t there = c.width - i;
                const float* from = c.v + key * c.row + head * c.width + (there > 0 ? i : 0);
                pack_pairs<PARTS>(from, c.row, c.keys - key, there, to + side * TILE);
            }
}

// Floats from one block of scores to the next: were it 1024, a query's scores would all fall into one set of the cache.
constexpr int64_t APART = SUMS + BLOCK;

// Scores of one query, 32 in each block, to weights that are not yet divided by their sum: returned.
template <int PARTS>
float soften(const float* scores, int64_t keys, half* line) {
    const int64_t whole = keys / BLOCK, rest = keys % BLOCK;
    const float* tail = scores + whole * APART;
    const __mmask16 there[2] = {first(rest), first(rest - 16)};
    __m512 most[2] = {_mm512_set1_ps(-INFINITY), _mm512_set1_ps(-INFINITY)};
    for (int s = 0; s < 2; ++s) {
        for (int64_t b = 0; b < whole; ++b) most[s] = _mm512_max_ps(most[s], _mm512_loadu_ps(scores + b * APART + s * 16));
        if (there[s]) most[s] = _mm512_mask_max_ps(most[s], there[s], most[s], _mm512_loadu_ps(tail + s * 16));
    }
    const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1])));
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t b = 0; b < whole; ++b, line += PARTS * TILE) {
        __m512 value[2];
        for (int s = 0; s < 2; ++s) {
            value[s] = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + b * APART + s * 16), top));
            sum[s] = _mm512_add_ps(sum[s], value[s]);
        }
        put<PARTS>(line, value[0], value[1]);
    }
    if (rest) {
        __m512 value[2];
        for (int s = 0; s < 2; ++s) {
            value[s] = _mm512_maskz_mov_ps(there[s], exponential(_mm512_sub_ps(_mm512_loadu_ps(tail + s * 16), top)));
            sum[s] = _mm512_add_ps(sum[s], value[s]);
        }
        put<PARTS>(line, value[0], value[1]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

// Floats of scratch for one thread: a block of sums, a block row of scores, its queries and its weights.
int64_t scratch_floats(const Sizes& sizes) {
    return SUMS + APART * sizes.key_blocks + BLOCK * DEPTH * (sizes.width_blocks + sizes.key_blocks);
}

// How far ahead memory is asked for.
constexpr int64_t AHEAD = 8192;

template <int PARTS>
void attend_head(const rf_attention& c, int64_t slot, int64_t head, float* scratch) {
    const Sizes sizes(c.keys, c.width);
    const int64_t wide = sizes.key_blocks * BLOCK;  // keys, padded
    float* sums = scratch;
    float* scores = sums + SUMS;  // key blocks x 32 queries x 32 keys
    half* queries = reinterpret_cast<half*>(scores + APART * sizes.key_blocks);
    half* weights = queries + BLOCK * DEPTH * sizes.width_blocks * PARTS;
    const half* keys = static_cast<const half*>(c.packed) + (slot * c.heads + head) * 2 * sizes.head(PARTS);
    const half* values = keys + sizes.head(PARTS);
    const __m512 scale = _mm512_set1_ps(static_cast<float>(1.0 / sqrt(static_cast<double>(c.width))));
    const int64_t below = PARTS * SIDE * DEPTH * sizes.width_blocks, below_weights = PARTS * SIDE * wide;
    // Those who look for the first time, a few queries at a step of decoding, wait for memory: keys and values are
    // read in the order in which they lie.
    const bool once = c.queries <= BLOCK;
    const half* ahead = keys + AHEAD;
    const auto fetch = [&](int64_t) {
        for (int64_t i = 0; once && i < STEP<PARTS>; i += 32) _mm_prefetch(ahead + i, _MM_HINT_T0);
        ahead += STEP<PARTS>;
    };
    Registers registers;
    const Cut cut(c.queries);
    for (int64_t block = 0; block < cut.count; ++block) {
        const int64_t from = block * cut.size;
        const Rows here = cut.rows(block);
        const int64_t rows = here.upper + here.lower;
        for (int64_t r = 0; r < rows; ++r) {
            const float* q = c.q + slot * c.q_slot + (from + r) * c.q_row + head * c.width;
            const int64_t place = cut.sum(r);
            half* line = queries + place / SIDE * below + place % SIDE * DEPTH;
            for (int64_t i = 0; i < c.width; i += DEPTH, line += PARTS * TILE)
                put<PARTS>(line, _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(first(c.width - i), q + i)),
                           _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(first(c.width - i - 16), q + i + 16)));
        }
        for (int64_t some = 0; some < sizes.key_blocks; ++some)
            multiply<PARTS>(registers, here, queries, below, keys + some * sizes.width_blocks * STEP<PARTS>,
                            sizes.width_blocks, nullptr, scores + some * APART, false, fetch);
        float share[BLOCK];
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t place = cut.sum(r);
            share[r] = 1.0f / soften<PARTS>(scores + place * BLOCK, c.keys,
                                            weights + place / SIDE * below_weights + place % SIDE * DEPTH);
        }
        for (int64_t panel = 0; panel < sizes.width_blocks; ++panel) {
            multiply<PARTS>(registers, here, weights, below_weights, values + panel * sizes.key_blocks * STEP<PARTS>,
                            sizes.key_blocks, nullptr, sums, false, fetch);
            for (int64_t r = 0; r < rows; ++r) {
                float* out = c.out + slot * c.out_slot + (from + r) * c.out_row + head * c.width + panel * BLOCK;
                for (int s = 0; s < 2; ++s)
                    _mm512_mask_storeu_ps(out + s * 16, first(c.width - panel * BLOCK - s * 16),
                                          _mm512_mul_ps(_mm512_loadu_ps(sums + cut.sum(r) * BLOCK + s * 16),
                                                        _mm512_set1_ps(share[r])));
            }
        }
    }
}

}  // namespace

int64_t keys_bytes(int64_t keys, int64_t heads, int64_t width, int64_t parts) {
    return 2 * heads * 2 * Sizes(keys, width).head(parts);
}

void pack(const rf_keys& c) {
    const int64_t threads = useful_threads(128 * c.heads * c.keys * c.width, c.threads);  // as costly as so many
    parallel(c.heads, threads, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t head = begin; head < end; ++head) c.parts == 2 ? pack_head<2>(c, head) : pack_head<1>(c, head);
    });
}

int64_t attention_scratch(int64_t keys, int64_t width, int64_t threads) {
    return 4 * threads * scratch_floats(Sizes(keys, width));
}

void run(const rf_attention& c) {
    const int64_t each = scratch_floats(Sizes(c.keys, c.width));
    const int64_t count = c.stacks * c.heads, work = 2 * count * c.queries * c.keys * c.width;
    parallel(count, useful_threads(work, c.threads), [&](int64_t begin, int64_t end, int64_t worker) {
        float* scratch = static_cast<float*>(c.scratch) + worker * each;
        for (int64_t i = begin; i < end; ++i) {
            const int64_t slot = c.slots[i / c.heads], head = i % c.heads;
            c.parts == 2 ? attend_head<2>(c, slot, head, scratch) : attend_head<1>(c, slot, head, scratch);
        }
    });
}

}  // namespace relforge
