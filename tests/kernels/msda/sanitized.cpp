// Runs every instruction set, layout, storage and fusion on awkward sizes in exactly-sized heap arrays, for the address and
// undefined-behaviour sanitizers to watch. Exits with 1 when a call is refused or an output number is not finite.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "call.h"

extern "C" int rf_msda_forward(const rf_call*);
extern "C" int rf_msda_backward(const rf_call*);
extern "C" int rf_use_isa(const char*);
extern "C" int64_t rf_release_buffers();

static float uniform() { return static_cast<float>(rand()) / static_cast<float>(RAND_MAX); }

static std::vector<float> numbers(size_t count, float low, float high) {
    std::vector<float> made(count);
    for (float& x : made) x = low + (high - low) * uniform();
    return made;
}

static bool finite(const std::vector<float>& numbers) {
    for (float x : numbers)
        if (!isfinite(x)) return false;
    return true;
}

static int run(int64_t channels, int64_t points, int64_t queries, int64_t reference_dim, int64_t layout, int64_t storage) {
    const std::vector<int64_t> shapes{3, 5, 1, 1, 2, 1};
    rf_call c{};
    c.batch = 2, c.tokens = 18, c.heads = 3, c.channels = channels, c.queries = queries, c.levels = 3, c.points = points;
    const size_t pixels = static_cast<size_t>(c.batch * c.tokens * c.heads * channels);
    const size_t samples = static_cast<size_t>(c.batch * queries * c.heads * c.levels * points);
    const size_t outputs = static_cast<size_t>(c.batch * queries * c.heads * channels);
    auto locations = numbers(samples * 2, reference_dim ? -4.0f : -0.6f, reference_dim ? 4.0f : 1.6f);
    if (locations.size() > 8) locations[1] = 1e30f, locations[4] = -INFINITY, locations[7] = 1.0f;
    const auto weights = numbers(samples, -2, 2), value = numbers(pixels, -1, 1), grad_output = numbers(outputs, -1, 1);
    const auto reference = numbers(static_cast<size_t>(c.batch * queries * c.levels * reference_dim), 0, 1);
    const std::vector<uint16_t> half_value(pixels, 0x3f80), half_grad(outputs, 0x3f80);
    std::vector<uint8_t> mask(static_cast<size_t>(c.batch * c.tokens), 0);
    mask[3] = 1;
    std::vector<float> output(outputs), grad_value(pixels), grad_locations(samples * 2), grad_weights(samples);
    std::vector<uint16_t> half_output(outputs), half_grad_value(pixels);
    c.shapes = shapes.data(), c.locations = locations.data(), c.weights = weights.data();
    c.reference = reference_dim ? reference.data() : nullptr, c.reference_dim = reference_dim;
    c.padding_mask = layout == 1 ? nullptr : mask.data();
    const bool half = storage == RF_BFLOAT16;
    c.value = half ? static_cast<const void*>(half_value.data()) : value.data();
    c.output = half ? static_cast<void*>(half_output.data()) : output.data();
    c.grad_output = half ? static_cast<const void*>(half_grad.data()) : grad_output.data();
    c.grad_value = half ? static_cast<void*>(half_grad_value.data()) : grad_value.data();
    c.grad_locations = grad_locations.data(), c.grad_weights = grad_weights.data();
    c.storage = storage, c.layout = layout, c.threads = 4;
    if (rf_msda_forward(&c) || rf_msda_backward(&c)) return 1;
    return !(finite(output) && finite(grad_value) && finite(grad_locations) && finite(grad_weights));
}

int main() {
    for (const char* isa : {"avx512", "avx2", "portable"}) {
        if (rf_use_isa(isa)) continue;
        for (int64_t channels : {32, 16, 5, 72})
            for (int64_t points : {4, 1, 7})
                for (int64_t queries : {0, 1, 9, 70})
                    for (int64_t reference_dim : {0, 2, 4})
                        for (int64_t layout : {0, 1, 2})
                            for (int64_t storage : {RF_FLOAT32, RF_BFLOAT16}) {
                                // The direct layout takes float32 and whole vectors of channels.
                                if (layout == 1 && (storage == RF_BFLOAT16 || channels % 16)) continue;
                                if (run(channels, points, queries, reference_dim, layout, storage)) {
                                    printf("%s: %d channels, %d points failed\n", isa, (int)channels, (int)points);
                                    return 1;
                                }
                            }
        printf("%s\n", isa);
    }
    rf_release_buffers();
    return 0;
}
