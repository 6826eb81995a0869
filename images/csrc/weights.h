// The weights of one axis of a resize.
#pragma once

#include <stdint.h>

#include <vector>

namespace relforge {

enum Filter : int32_t { BILINEAR = 0, BICUBIC = 1 };

// The input pixels of each output pixel and their weights, as fixed-point numbers.
struct Weights {
    Weights(int64_t inputs, int64_t outputs, Filter filter);

    int64_t outputs;
    int64_t groups = 0;          // of four taps, enough for every output
    std::vector<int64_t> first;  // input pixel of each output's first tap
    std::vector<int64_t> count;  // each output's taps
    std::vector<int32_t> taps;   // outputs x groups x 4, zero after an output's count
};

}  // namespace relforge
