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

// Packed rows: chunks x blocks x 2 (upper, lower) x steps x parts tiles.
template <int PARTS>
void pack_rows(const rf_linear& c, const Cut& cut, int64_t begin, int64_t end, half* to) {
    const int64_t all = padded(c.in), tall = cut.count * BLOCK;
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
            return c.gelu ? gelu(value) : value;
        };
        const int64_t place = cut.place(row);
        for (int64_t from = 0; from < all; from += CHUNK<PARTS>) {
            const int64_t width = all < from + CHUNK<PARTS> ? all - from : CHUNK<PARTS>;
            half* line = to + PARTS * (from * tall + place / SIDE * SIDE * width) + place % SIDE * DEPTH;
            for (int64_t i = from; i < from + width; i += DEPTH, line += PARTS * TILE)
                put<PARTS>(line, read(i), read(i + 16));
        }
    }
}

// y[row..., column...] of one block, from its sums.
void finish(const rf_linear& c, const Cut& cut, const float* sums, int64_t row, Rows rows, int64_t column) {
    const __mmask16 there[2] = {first(c.out - column), first(c.out - column - 16)};
    for (int s = 0; s < 2; ++s) {
        const int64_t at = column + s * SIDE;
        const __m512 bias = c.bias ? _mm512_maskz_loadu_ps(there[s], c.bias + at) : _mm512_setzero_ps();
        for (int64_t r = 0; r < rows.upper + rows.lower; ++r) {
            const int64_t place = (row + r) * c.out + at;
            __m512 value = _mm512_add_ps(_mm512_load_ps(sums + cut.sum(r) * BLOCK + s * SIDE), bias);
            if (c.residual) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(there[s], c.residual + place));
            _mm512_mask_storeu_ps(c.y + place, there[s], value);
        }
    }
}

// Panels [begin, end) of 32 outputs.
template <int PARTS>
void product(const rf_linear& c, const Cut& cut, const half* rows, float* sums, int64_t begin, int64_t end) {
    Registers registers;
    alignas(64) float last[SUMS];
    const int64_t all = padded(c.in), tall = cut.count * BLOCK, columns = blocks(c.out, BLOCK) * BLOCK;
    const half* weight = static_cast<const half*>(c.weight);
    const int64_t lines = blocks(STEP<PARTS> / 32, cut.count);  // of the next panel, in each step
    for (int64_t from = 0; from < all; from += CHUNK<PARTS>) {
        const int64_t width = all < from + CHUNK<PARTS> ? all - from : CHUNK<PARTS>, steps = width / DEPTH;
        const bool done = from + width == all;
        for (int64_t panel = begin; panel < end; ++panel) {
            const half* right = weight + PARTS * (from * columns + panel * BLOCK * width);
            const half* next = right + steps * STEP<PARTS>;
            for (int64_t block = 0; block < cut.count; ++block) {
                const int64_t row = block * cut.size;
                const half* left = rows + PARTS * (from * tall + block * BLOCK * width);
                float* kept = all > CHUNK<PARTS> ? sums + (panel * cut.count + block) * SUMS : last;
                const Rows here = cut.rows(block);
                float* y = c.y + row * c.out + panel * BLOCK;
                multiply<PARTS>(registers, here, left, PARTS * SIDE * width, right, steps, kept, from > 0,
                                [&](int64_t step) {
                                    for (int64_t i = 0; i < lines; ++i, next += 32) _mm_prefetch(next, _MM_HINT_T1);
                                    if (done && 2 * step < here.upper + here.lower)
                                        for (int i = 0; i < 4; ++i)
                                            __builtin_prefetch(y + (2 * step + i / 2) * c.out + i % 2 * SIDE, 1, 2);
                                });
                if (done) finish(c, cut, kept, row, here, panel * BLOCK);
            }
        }
    }
}

template <int PARTS>
void linear(const rf_linear& c) {
    const Cut cut(c.rows);
    half* rows = static_cast<half*>(c.scratch);
    float* sums = reinterpret_cast<float*>(rows + PARTS * padded(c.in) * cut.count * BLOCK);
    parallel(c.rows, c.threads, [&](int64_t begin, int64_t end) { pack_rows<PARTS>(c, cut, begin, end, rows); });
    parallel(blocks(c.out, BLOCK), c.threads,
             [&](int64_t begin, int64_t end) { product<PARTS>(c, cut, rows, sums, begin, end); });
}

}  // namespace

int64_t weight_bytes(int64_t out, int64_t in, int64_t parts) {
    return 2 * parts * blocks(out, BLOCK) * BLOCK * padded(in);
}

void pack(const float* weight, int64_t out, int64_t in, int64_t parts, void* to) {
    parts == 2 ? pack_weight<2>(weight, out, in, static_cast<half*>(to))
               : pack_weight<1>(weight, out, in, static_cast<half*>(to));
}

int64_t linear_scratch(int64_t rows, int64_t in, int64_t out, int64_t parts) {
    const int64_t packed = 2 * parts * padded(in) * blocks(rows, BLOCK) * BLOCK;
    const bool several = padded(in) > (parts == 2 ? CHUNK<2> : CHUNK<1>);
    return packed + (several ? 4 * SUMS * blocks(out, BLOCK) * blocks(rows, BLOCK) : 0);
}

void run(const rf_linear& c) { c.parts == 2 ? linear<2>(c) : linear<1>(c); }

}  // namespace relforge
