// Pillow's weights for 8-bit images (its Resample.c). Compiled without fused multiply-adds, which would change last bits.
#include "weights.h"

#include <math.h>

#include <algorithm>

#include "isa.h"

namespace relforge {

namespace {

double triangle(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

// Keys' cubic with a = -0.5, in Pillow's order of operations.
double cubic(double x) {
    constexpr double A = -0.5;
    x = fabs(x);
    if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * A;
    return 0;
}

int32_t fixed_point(double weight) {
    return static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << FRACTION_BITS));
}

}  // namespace

Weights::Weights(int64_t inputs, int64_t outputs, Filter filter)
    : outputs(outputs), first(static_cast<size_t>(outputs)), count(static_cast<size_t>(outputs)) {
    const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
    const double stretch = std::max(scale, 1.0);  // shrinking widens the filter: antialiasing
    const double support = (filter == BICUBIC ? 2 : 1) * stretch, per_pixel = 1 / stretch;
    int64_t max_count = 0;
    for (size_t o = 0; o < first.size(); ++o) {
        const double center = (static_cast<double>(o) + 0.5) * scale;
        first[o] = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
        count[o] = std::min(inputs, static_cast<int64_t>(center + support + 0.5)) - first[o];
        max_count = std::max(max_count, count[o]);
    }
    groups = (max_count + 3) / 4;
    taps.resize(first.size() * static_cast<size_t>(4 * groups));
    std::vector<double> exact(static_cast<size_t>(max_count));
    for (size_t o = 0; o < first.size(); ++o) {
        const double center = (static_cast<double>(o) + 0.5) * scale;
        double sum = 0;
        for (int64_t t = 0; t < count[o]; ++t) {
            const double x = (static_cast<double>(t + first[o]) - center + 0.5) * per_pixel;
            sum += exact[static_cast<size_t>(t)] = filter == BICUBIC ? cubic(x) : triangle(x);
        }
        int32_t* made = &taps[o * static_cast<size_t>(4 * groups)];
        for (int64_t t = 0; t < count[o]; ++t) {
            const double weight = exact[static_cast<size_t>(t)];
            made[t] = fixed_point(sum != 0 ? weight / sum : weight);
        }
    }
}

}  // namespace relforge
