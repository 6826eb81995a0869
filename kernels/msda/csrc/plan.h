// The tables that all threads of a call share.
#pragma once

#include <vector>

#include "call.h"

namespace relforge {

class Plan {
public:
    // Tables for vectors of `width` lanes, in the packed or the direct layout.
    Plan(const rf_call& call, int64_t width, bool packed);
    Points points() const;
    Layout layout() const;
    int64_t lanes() const { return lanes_; }

private:
    int64_t count_, padded_, lanes_, packed_pixels_ = 0;
    std::vector<float> width_, height_;
    std::vector<int32_t> stride_, origin_, outside_, reference_;
    std::vector<int64_t> rows_, columns_, token_, packed_;
};

}  // namespace relforge
