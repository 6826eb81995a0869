// Linear layers: weights packed once, inputs packed on the way in with what stands before the product.
#include <math.h>

#include "call.h"
#include "threads.h"
#include "tiles.h"
#include "vector.h"

namespace relforge {
namespace {

// Terms of a sum taken in one go: so many that the packed rows of a picture stay in a 2 MB second-level cache.
template <int PARTS>
constexpr int64_t CHUNK = 1024 / PARTS;

// And of those so many that a block's rows and a panel's weights stay in a 48 kB first-level cache.
constexpr int64_t PIECE = 256;

// Bytes of an output that is not read again before other memory has taken its place in the caches: it goes past them,
// and the packed rows stay.
constexpr int64_t LARGE = int64_t{2} << 20;

int64_t padded(int64_t in) { return blocks(in, DEPTH) * DEPTH; }

// Packed weights: chunks of inputs x panels of 32 outputs x steps x parts x 2 tiles.
template <int PARTS>
void pack_weight(const float* weight, int64_t out, int64_t in, half* to) {
    for (int64_t begin = 0; begin < in; begin += CHUNK<PARTS>) {
        const int64_t end = in < begin + CHUNK<PARTS> ? in : begin + CHUNK<PARTS>;
        for (int64_t panel = 0; panel < blocks(out, BLOCK); ++panel)
            for (int64_t i = begin; i < end; i += DEPTH, to += STEP<PARTS>)
                for (int64_t column = 0; column < BLOCK; ++column) {
                    const int64_t o = panel * BLOCK + column;
                    const int64_t there = o < out ? end - i : 0;  // the rest are zeros
                    const float* from = weight + (o < out ? o : 0) * in + i;
                    const __m512 a = _mm512_maskz_loadu_ps(first(there), from);
                    const __m512 b = _mm512_maskz_loadu_ps(first(there - 16), from + 16);
                    __m512i part[2];
                    split(a, b, part[0], part[1]);
                    for (int p = 0; p < PARTS; ++p) {  // 16 pairs down one column
                        uint32_t pairs[16];
                        _mm512_storeu_si512(pairs, part[p]);
                        half* tile = to + (2 * p + column / SIDE) * TILE + column % SIDE * 2;
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
    for (int64_t i = 0; i < n; i += 16) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(first(n - i), x + i));
    const float mean = _mm512_reduce_add_ps(sum) / static_cast<float>(n);
    __m512 squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 there = first(n - i);
        const __m512 d = _mm512_maskz_sub_ps(there, _mm512_maskz_loadu_ps(there, x + i), _mm512_set1_ps(mean));
        squares = _mm512_fmadd_ps(d, d, squares);
    }
    const double variance = _mm512_reduce_add_ps(squares) / static_cast<double>(n);
    return {mean, static_cast<float>(1.0 / sqrt(variance + eps))};
}

// Where 32 numbers of a packed row begin: chunks x blocks x 2 (upper, lower) x steps x parts tiles.
template <int PARTS>
int64_t packed_at(const Cut& cut, int64_t all, int64_t place, int64_t term) {
    const int64_t chunk = term / CHUNK<PARTS> * CHUNK<PARTS>;
    const int64_t width = all < chunk + CHUNK<PARTS> ? all - chunk : CHUNK<PARTS>;
    const int64_t tile = cut.count * BLOCK * chunk + place / SIDE * SIDE * width + (term - chunk) * SIDE;
    return PARTS * tile + place % SIDE * DEPTH;
}

template <int PARTS>
void pack_rows(const rf_linear& c, const Cut& cut, int64_t begin, int64_t end, half* to) {
    const int64_t all = padded(c.in);
    for (int64_t row = begin; row < end; ++row) {
        const float* x = c.x + row * c.in;
        const Moments m = c.scale ? moments(x, c.in, c.eps) : Moments{0, 1};
        const __m512 rstd = _mm512_set1_ps(m.rstd), mean = _mm512_set1_ps(m.mean);
        const auto read = [&](int64_t i) {
            const __mmask16 there = first(c.in - i);
            __m512 value = _mm512_maskz_loadu_ps(there, x + i);
            if (c.scale) {
                value = _mm512_mul_ps(_mm512_sub_ps(value, mean), rstd);
                value = _mm512_maskz_fmadd_ps(there, value, _mm512_maskz_loadu_ps(there, c.scale + i),
                                              _mm512_maskz_loadu_ps(there, c.shift + i));
            }
            return c.gelu && !c.pack ? gelu(value) : value;
        };
        const int64_t place = cut.place(row);
        for (int64_t from = 0; from < all; from += CHUNK<PARTS>) {
            half* line = to + packed_at<PARTS>(cut, all, place, from);
            for (int64_t i = from; i < all && i < from + CHUNK<PARTS>; i += DEPTH, line += PARTS * TILE)
                put<PARTS>(line, read(i), read(i + 16));
        }
    }
}

// Whether y is written past the caches, which takes whole lines.
bool past_caches(const rf_linear& c) {
    return 4 * c.rows * c.out > LARGE && c.out % SIDE == 0 && reinterpret_cast<uintptr_t>(c.y) % 64 == 0;
}

// y of one block from its sums: its rows, from `row` on, and 32 columns, from `column` on.
void write(const rf_linear& c, const Cut& cut, const float* sums, int64_t row, Rows rows, int64_t column) {
    const bool past = past_caches(c);
    for (int64_t s = 0; s < 2; ++s) {
        const int64_t at = column + s * SIDE;
        const __mmask16 there = first(c.out - at);
        if (!there) return;
        const __m512 bias = _mm512_maskz_loadu_ps(there, c.bias + at);
        for (int64_t r = 0; r < rows.upper + rows.lower; ++r) {
            const int64_t place = (row + r) * c.out + at;
            __m512 value = _mm512_add_ps(_mm512_load_ps(sums + cut.sum(r) * BLOCK + s * SIDE), bias);
            if (c.residual) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(there, c.residual + place));
            if (past) {
                _mm512_stream_ps(c.y + place, value);
            } else {
                _mm512_mask_storeu_ps(c.y + place, there, value);
            }
        }
    }
}

// The same as the next layer's packed rows, of which this is one step of terms.
template <int PARTS>
void write_packed(const rf_linear& c, const Cut& cut, const float* sums, int64_t block, Rows rows, int64_t column) {
    __m512 bias[2];
    for (int64_t s = 0; s < 2; ++s)
        bias[s] = _mm512_maskz_loadu_ps(first(c.out - column - s * SIDE), c.bias + column + s * SIDE);
    for (int64_t r = 0; r < rows.upper + rows.lower; ++r) {
        const int64_t within = cut.sum(r);
        __m512 value[2];
        for (int64_t s = 0; s < 2; ++s) {
            value[s] = _mm512_add_ps(_mm512_load_ps(sums + within * BLOCK + s * SIDE), bias[s]);
            if (c.gelu) value[s] = gelu(value[s]);
        }
        const int64_t at = packed_at<PARTS>(cut, padded(c.out), block * BLOCK + within, column);
        put<PARTS>(static_cast<half*>(c.pack) + at, value[0], value[1]);
    }
}

// Panels [begin, end) of 32 outputs.
template <int PARTS>
void product(const rf_linear& c, const Cut& cut, const half* rows, float* sums, int64_t begin, int64_t end) {
    Registers registers;
    alignas(64) float last[SUMS];
    const int64_t all = padded(c.in), columns = blocks(c.out, BLOCK) * BLOCK;
    const half* weight = static_cast<const half*>(c.weight);
    const int64_t lines = blocks(STEP<PARTS> / 32, cut.count);  // of the next piece of weights, in each step
    const bool owned = !c.pack && !past_caches(c);  // lines of y are wanted in the cache before they are written
    for (int64_t chunk = 0; chunk < all; chunk += CHUNK<PARTS>) {
        const int64_t width = all < chunk + CHUNK<PARTS> ? all - chunk : CHUNK<PARTS>;
        for (int64_t panel = begin; panel < end; ++panel) {
            const half* right = weight + PARTS * (chunk * columns + panel * BLOCK * width);
            float* kept = sums + (all > CHUNK<PARTS> ? panel : begin) * cut.count * SUMS;
            for (int64_t from = chunk; from < chunk + width; from += PIECE) {
                const int64_t steps = (chunk + width < from + PIECE ? chunk + width - from : PIECE) / DEPTH;
                const bool done = from + steps * DEPTH == all;
                const half* next = right + steps * STEP<PARTS>;
                for (int64_t block = 0; block < cut.count; ++block) {
                    const Rows here = cut.rows(block);
                    const int64_t rows_here = here.upper + here.lower;
                    const auto fetch = [&](int64_t step) {
                        for (int64_t i = 0; i < lines; ++i, next += 32) _mm_prefetch(next, _MM_HINT_T1);
                        for (int64_t r = step; owned && done && r < rows_here; r += steps)
                            for (int64_t s = 0; s < BLOCK; s += SIDE)
                                __builtin_prefetch(c.y + (block * cut.size + r) * c.out + panel * BLOCK + s, 1, 2);
                    };
                    const half* left = rows + packed_at<PARTS>(cut, all, block * BLOCK, from);
                    float* sum = kept + block * SUMS;
                    multiply<PARTS>(registers, here, left, PARTS * SIDE * width, right, steps, sum, done ? last : sum,
                                    from > 0, fetch);
                    if (done && c.pack) write_packed<PARTS>(c, cut, last, block, here, panel * BLOCK);
                    if (done && !c.pack) write(c, cut, last, block * cut.size, here, panel * BLOCK);
                }
                right += steps * STEP<PARTS>;
            }
        }
    }
    _mm_sfence();  // what went past the caches is there for other threads too
}

template <int PARTS>
void linear(const rf_linear& c) {
    if (c.rows < 1) return;
    const Cut cut(c.rows);
    half* rows = static_cast<half*>(c.scratch);
    float* sums = reinterpret_cast<float*>(rows + (c.packed ? 0 : PARTS * padded(c.in) * cut.count * BLOCK));
    const int64_t threads = useful_threads(c.rows * c.in * c.out, c.threads);
    if (!c.packed)
        parallel(c.rows, threads, [&](int64_t begin, int64_t end, int64_t) { pack_rows<PARTS>(c, cut, begin, end, rows); });
    const half* left = c.packed ? static_cast<const half*>(c.packed) : rows;
    parallel(blocks(c.out, BLOCK), threads,
             [&](int64_t begin, int64_t end, int64_t) { product<PARTS>(c, cut, left, sums, begin, end); });
}

}  // namespace

int64_t weight_bytes(int64_t out, int64_t in, int64_t parts) {
    return 2 * parts * blocks(out, BLOCK) * BLOCK * padded(in);
}

void pack(const float* weight, int64_t out, int64_t in, int64_t parts, void* to) {
    parts == 2 ? pack_weight<2>(weight, out, in, static_cast<half*>(to))
               : pack_weight<1>(weight, out, in, static_cast<half*>(to));
}

int64_t packed_rows(int64_t rows, int64_t in, int64_t parts) {
    return 2 * parts * padded(in) * blocks(rows, BLOCK) * BLOCK;
}

int64_t linear_scratch(int64_t rows, int64_t in, int64_t out, int64_t parts) {
    return packed_rows(rows, in, parts) + 4 * SUMS * blocks(out, BLOCK) * blocks(rows, BLOCK);
}

void run(const rf_linear& c) { c.parts == 2 ? linear<2>(c) : linear<1>(c); }

}  // namespace relforge
