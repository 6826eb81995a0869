#include "plan.h"

#include <stddef.h>

namespace relforge {

Plan::Plan(const rf_call& call, int64_t width, bool packed)
    : count_(call.levels * call.points),
      padded_((count_ + width - 1) / width * width),
      lanes_((call.channels + width - 1) / width * width) {
    const size_t n = static_cast<size_t>(padded_);
    width_.assign(n, -1.0f);  // padding lanes are outside every level: four readable zero corners, weight zero
    height_.assign(n, -1.0f);
    for (auto* table : {&stride_, &origin_, &outside_, &reference_}) table->assign(n, 0);
    int64_t token = 0;
    for (int64_t l = 0; l < call.levels; ++l) {
        const int64_t rows = call.shapes[2 * l], columns = call.shapes[2 * l + 1];
        const int64_t pixel = packed ? lanes_ : 1;
        const int64_t stride = (packed ? columns + 1 : columns) * pixel;
        const int64_t origin = packed ? packed_pixels_ * pixel + stride + pixel : token;
        for (int64_t p = 0; p < call.points; ++p) {
            const size_t i = static_cast<size_t>(l * call.points + p);
            width_[i] = static_cast<float>(columns);
            height_[i] = static_cast<float>(rows);
            stride_[i] = static_cast<int32_t>(stride);
            origin_[i] = static_cast<int32_t>(origin);
            outside_[i] = static_cast<int32_t>(origin + rows * stride - pixel);
            reference_[i] = static_cast<int32_t>(l * call.reference_dim);
        }
        rows_.push_back(rows);
        columns_.push_back(columns);
        token_.push_back(token);
        packed_.push_back(packed_pixels_);
        packed_pixels_ += (rows + 2) * (columns + 1) + 2;
        token += rows * columns;
    }
}

Points Plan::points() const {
    return {count_,         padded_,        width_.data(),   height_.data(),
            stride_.data(), origin_.data(), outside_.data(), reference_.data()};
}

Layout Plan::layout() const {
    return {static_cast<int64_t>(rows_.size()), rows_.data(), columns_.data(), token_.data(), packed_.data(),
            packed_pixels_, lanes_};
}

}  // namespace relforge
