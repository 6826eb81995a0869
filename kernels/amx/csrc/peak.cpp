// Tile instructions on registers alone: the speed that no code can exceed.
#include <stdint.h>

#include "gemm.h"

extern "C" __attribute__((visibility("default"))) void rf_multiply_registers(int64_t times) {
    using namespace relforge;
    TileRegisters registers;
    registers.configure(SIDE, SIDE);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int64_t i = 0; i < times; ++i) {  // four sums, so that no instruction waits for the one before
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}
