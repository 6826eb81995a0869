// The two passes of a resize, each with its weights in the form that its instruction set reads.
#pragma once

#include <string.h>

#include <algorithm>
#include <vector>

#include "isa.h"
#include "weights.h"

namespace relforge {

// Rows of RGB pixels to another width.
class Horizontal {
public:
    Horizontal(const Isa& best, int64_t inputs, int64_t outputs, Filter filter)
        : isa_(outputs < best.pixels ? *portable_isa() : best), weights_(inputs, outputs, filter), inputs_(inputs) {
        const size_t groups = static_cast<size_t>(weights_.groups), count = static_cast<size_t>(outputs);
        const size_t parts = static_cast<size_t>(isa_.parts);
        parts_.resize(groups * parts * count * 4);
        std::vector<int32_t> split(parts);
        for (size_t o = 0; o < count && parts; ++o)
            for (size_t g = 0; g < groups; ++g) {
                isa_.split(&weights_.taps[(o * groups + g) * 4], split.data());
                for (size_t p = 0; p < parts; ++p)
                    std::fill_n(&parts_[((g * parts + p) * count + o) * 4], 4, split[p]);
            }
        const int64_t last_first = *std::max_element(weights_.first.begin(), weights_.first.end());
        readable_bytes_ = std::max(3 * inputs, 3 * last_first + 12 * weights_.groups + 4);
        edge_.resize(static_cast<size_t>(readable_bytes_));
    }

    // Bytes that must be readable from a row's start.
    int64_t readable_bytes() const { return readable_bytes_; }

    // `end` is one past the last byte that may be read.
    void operator()(const uint8_t* row, const uint8_t* end, uint8_t* out) {
        if (end - row < readable_bytes_) {
            memcpy(edge_.data(), row, static_cast<size_t>(3 * inputs_));
            row = edge_.data();
        }
        const Taps taps{weights_.outputs, weights_.groups, weights_.first.data(), weights_.count.data(),
                        weights_.taps.data(), parts_.data()};
        isa_.horizontal(row, taps, out);
    }

private:
    const Isa& isa_;
    const Weights weights_;
    std::vector<int32_t> parts_;
    std::vector<uint8_t> edge_;  // a row too close to the end of memory, padded to readable_bytes_
    int64_t inputs_, readable_bytes_;
};

// Rows of bytes to another number of rows.
class Vertical {
public:
    Vertical(const Isa& best, int64_t inputs, int64_t outputs, Filter filter, int64_t bytes)
        : isa_(bytes < best.bytes ? *portable_isa() : best), weights_(inputs, outputs, filter), bytes_(bytes),
          rows_(static_cast<size_t>(4 * weights_.groups)) {
        const size_t groups = weights_.taps.size() / 4, parts = static_cast<size_t>(isa_.parts);
        parts_.resize(groups * parts);
        for (size_t g = 0; g < groups && parts; ++g) isa_.split(&weights_.taps[4 * g], &parts_[g * parts]);
    }

    int64_t max_taps() const { return *std::max_element(weights_.count.begin(), weights_.count.end()); }

    // `row(n)` is where input row n begins; n never falls from one tap to the next.
    template <class Row>
    void operator()(int64_t output, const Row& row, uint8_t* out) {
        const int64_t first = weights_.first[static_cast<size_t>(output)];
        const int64_t last = first + weights_.count[static_cast<size_t>(output)] - 1;
        for (size_t t = 0; t < rows_.size(); ++t) rows_[t] = row(std::min(first + static_cast<int64_t>(t), last));
        const Taps taps{weights_.outputs, weights_.groups, weights_.first.data(), weights_.count.data(),
                        weights_.taps.data(), parts_.data()};
        isa_.vertical(rows_.data(), taps, output, out, bytes_);
    }

private:
    const Isa& isa_;
    const Weights weights_;
    const int64_t bytes_;
    std::vector<int32_t> parts_;
    std::vector<const uint8_t*> rows_;
};

}  // namespace relforge
