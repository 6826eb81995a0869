// GEMM on Intel AMX. Operands are bfloat16 and sums float32; a float32 operand is split into a leading and a trailing
// bfloat16, and three of the four partial products are summed.
//
// A tile (Intel's word for an AMX register) is 16 rows of 64 bytes. Left operands: 16 rows of 32 numbers. Right operands:
// 16 pairs of rows by 16 columns, the two numbers of a pair side by side. Tiles are contiguous in memory.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace relforge {

using bf16 = uint16_t;  // the bits of a bfloat16

constexpr int64_t SIDE = 16;        // rows of a tile, columns of a tile of sums
constexpr int64_t DEPTH = 32;       // terms that one tile instruction adds
constexpr int64_t BLOCK = 32;       // rows and columns of the sums kept in registers: two tiles each way
constexpr int64_t TILE = 512;       // numbers in a tile of operands
constexpr int64_t SUMS = BLOCK * BLOCK;

inline int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Numbers of one step's right operand: two tiles of columns, every part of each.
template <int PARTS>
constexpr int64_t STEP = 2 * PARTS * TILE;

// GCC's intrinsics do not declare what memory the tile instructions read: without this the compiler may move the writes to it
// behind them.
inline void compiler_barrier(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

// Registers 0-3: sums (upper left, upper right, lower left, lower right); 4-5: left operands; 6-7: right operands.
class TileRegisters {
public:
    // For `upper` and `lower` rows of a block, each at most 16; 0 in `lower` leaves the lower tiles unused.
    void configure(int64_t upper, int64_t lower) {
        if (upper == upper_ && lower == lower_) return;
        struct alignas(64) {
            uint8_t palette = 1, start = 0, reserved[14] = {};
            uint16_t bytes[16] = {};
            uint8_t rows[16] = {};
        } config;
        const int64_t rows[8] = {upper, upper, lower, lower, upper, lower, SIDE, SIDE};
        for (int i = 0; i < 8; ++i) {
            config.bytes[i] = 64;
            config.rows[i] = static_cast<uint8_t>(rows[i] ? rows[i] : 1);
        }
        compiler_barrier(&config);
        _tile_loadconfig(&config);
        upper_ = upper;
        lower_ = lower;
    }
    ~TileRegisters() { _tile_release(); }

private:
    int64_t upper_ = -1, lower_ = -1;
};

// sums[32][32] = left[rows][32 * steps] * right[32 * steps][32] (+ initial), with the registers configured for the rows.
//   left: steps x PARTS tiles; the lower rows' tiles begin `lower_offset` numbers later.
//   right: steps x PARTS x 2 tiles.
//   fetch: fetch(step) prefetches memory that is needed soon.
template <int PARTS, bool LOWER, class Fetch>
inline void multiply(const bf16* left, int64_t lower_offset, const bf16* right, int64_t steps, const float* initial,
                     float* sums, bool add, const Fetch& fetch) {
    compiler_barrier(left);
    compiler_barrier(initial);
    if (add) {
        _tile_loadd(0, initial, 128);
        _tile_loadd(1, initial + SIDE, 128);
        if (LOWER) {
            _tile_loadd(2, initial + SIDE * BLOCK, 128);
            _tile_loadd(3, initial + SIDE * BLOCK + SIDE, 128);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        if (LOWER) {
            _tile_zero(2);
            _tile_zero(3);
        }
    }
    for (int64_t s = 0; s < steps; ++s, left += PARTS * TILE, right += STEP<PARTS>) {
        fetch(s);
        if (PARTS == 2) {  // trailing left times leading right
            _tile_loadd(4, left + TILE, 64);
            _tile_loadd(6, right, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, right + TILE, 64);
            _tile_dpbf16ps(1, 4, 7);
            if (LOWER) {
                _tile_loadd(5, left + lower_offset + TILE, 64);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_loadd(4, left, 64);  // leading times leading
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            if (LOWER) {
                _tile_loadd(5, left + lower_offset, 64);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_loadd(6, right + 2 * TILE, 64);  // leading left times trailing right
            _tile_dpbf16ps(0, 4, 6);
            if (LOWER) _tile_dpbf16ps(2, 5, 6);
            _tile_loadd(7, right + 3 * TILE, 64);
            _tile_dpbf16ps(1, 4, 7);
            if (LOWER) _tile_dpbf16ps(3, 5, 7);
        } else {
            _tile_loadd(4, left, 64);
            _tile_loadd(6, right, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, right + TILE, 64);
            _tile_dpbf16ps(1, 4, 7);
            if (LOWER) {
                _tile_loadd(5, left + lower_offset, 64);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    }
    _tile_stored(0, sums, 128);
    _tile_stored(1, sums + SIDE, 128);
    if (LOWER) {
        _tile_stored(2, sums + SIDE * BLOCK, 128);
        _tile_stored(3, sums + SIDE * BLOCK + SIDE, 128);
    }
}

// How many rows the upper and the lower tile of a block have.
struct BlockRows {
    int64_t upper, lower;
};

// The same for a block of fewer rows; configures the registers.
template <int PARTS, class Fetch>
inline void multiply(TileRegisters& registers, BlockRows rows, const bf16* left, int64_t lower_offset,
                     const bf16* right, int64_t steps, const float* initial, float* sums, bool add, const Fetch& fetch) {
    registers.configure(rows.upper, rows.lower);
    if (rows.lower) {
        multiply<PARTS, true>(left, lower_offset, right, steps, initial, sums, add, fetch);
    } else {
        multiply<PARTS, false>(left, lower_offset, right, steps, initial, sums, add, fetch);
    }
}

// Rows divided into blocks of nearly equal size: a tile instruction takes time in proportion to the rows of its left
// tile, but a block of one row would take half as long as a full one.
struct RowBlocks {
    int64_t total;  // rows
    int64_t count;  // blocks
    int64_t size;   // rows of each block but the last
    int64_t upper;  // and of its upper tile

    explicit RowBlocks(int64_t rows)
        : total(rows), count(blocks(rows, BLOCK)), size(blocks(rows, count ? count : 1)), upper(blocks(size, 2)) {}

    BlockRows rows(int64_t block) const {
        const int64_t here = block + 1 < count ? size : total - block * size;
        return here > upper ? BlockRows{upper, here - upper} : BlockRows{here, 0};
    }
    // Index of a block's row among its sums, and among its packed rows: two tiles of 16, which may not be full.
    int64_t sum_row(int64_t within) const { return within < upper ? within : SIDE + within - upper; }
    // Index of a row among all packed rows.
    int64_t packed_row(int64_t row) const { return row / size * BLOCK + sum_row(row % size); }
};

// 32 floats as their leading bfloat16s and the remainders as trailing ones, both rounded to nearest even.
inline void split(__m512 a, __m512 b, __m512i& lead, __m512i& trail) {
    lead = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(lead));
    const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(lead, 1));
    const __m512 rest_a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(low, 16)));
    const __m512 rest_b = _mm512_sub_ps(b, _mm512_castsi512_ps(_mm512_slli_epi32(high, 16)));
    trail = (__m512i)_mm512_cvtne2ps_pbh(rest_b, rest_a);
}

// One row of a left tile and, with two parts, of the tile after it.
template <int PARTS>
inline void store_row(bf16* row, __m512 a, __m512 b) {
    __m512i lead, trail;
    if (PARTS == 2) {
        split(a, b, lead, trail);
        _mm512_storeu_si512(row + TILE, trail);
    } else {
        lead = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    }
    _mm512_storeu_si512(row, lead);
}

// Selects the first n of 16 lanes; n may be below 1 or above 16.
inline __mmask16 lane_mask(int64_t n) {
    return n >= 16 ? 0xffff : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1);
}

}  // namespace relforge
