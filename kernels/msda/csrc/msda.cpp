// The C interface: checks, the choice of instruction set and layout, and the split over threads.
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "buffers.h"
#include "isa.h"
#include "plan.h"

#define RF_EXPORT __attribute__((visibility("default")))

namespace {

using relforge::Buffer;
using relforge::Isa;
using relforge::Plan;

enum { RF_OK = 0, RF_NO_MEMORY = 1, RF_BAD_CALL = 2, RF_BAD_LAYOUT = 3 };

const Isa* best_isa() {
#if defined(__x86_64__)
    if (const Isa* isa = relforge::avx512_isa()) return isa;
    if (const Isa* isa = relforge::avx2_isa()) return isa;
#endif
    return relforge::portable_isa();
}

std::atomic<const Isa*> chosen{nullptr};

const Isa& current() {
    const Isa* isa = chosen.load();
    if (!isa) chosen.store(isa = best_isa());
    return *isa;
}

// Run work(i) for all i < count on up to `threads` threads. Threads are started for each call: 10 to 20
// microseconds each are little beside milliseconds of work, and without a pool nothing breaks after a fork or competes
// with torch's threads.
template <class Work>
void parallel(int64_t count, int64_t threads, const Work& work) {
    std::atomic<int64_t> next{0};
    const auto run = [&] {
        for (int64_t i; (i = next.fetch_add(1)) < count;) work(i);
    };
    std::vector<std::thread> others;
    try {
        for (int64_t t = 1; t < threads && t < count; ++t) others.emplace_back(run);
    } catch (const std::system_error&) {
        // The system starts no more threads: those that run share the work.
    }
    run();
    for (std::thread& other : others) other.join();
}

int64_t useful_threads(const rf_call& c) {
    constexpr int64_t WORTH_A_THREAD = 400000;  // multiply-adds; about 0.1 ms
    const int64_t work = c.batch * c.queries * c.heads * c.levels * c.points * c.channels;
    const int64_t useful = work / WORTH_A_THREAD + 1;
    const int64_t threads = c.threads < useful ? c.threads : useful;
    return threads < 1 ? 1 : threads;
}

// The direct layout reads whole vectors of the tensor and adds to its gradient in place; a mask needs a copy.
bool must_pack(const rf_call& c, int64_t width, bool backward) {
    return c.channels % width || (backward && c.storage != RF_FLOAT32) || c.padding_mask;
}

bool should_pack(const rf_call& c, int64_t width, bool backward) {
    if (c.layout) return c.layout == 2;
    if (must_pack(c, width, backward)) return true;
    return c.queries * c.levels * c.points > 4 * c.tokens;
}

bool well_formed(const rf_call& c) {
    if (c.batch < 0 || c.queries < 0 || c.heads < 1 || c.channels < 1 || c.levels < 1 || c.points < 1) return false;
    int64_t pixels = 0;
    for (int64_t l = 0; l < c.levels; ++l) {
        if (c.shapes[2 * l] < 1 || c.shapes[2 * l + 1] < 1) return false;
        pixels += c.shapes[2 * l] * c.shapes[2 * l + 1];
    }
    const int64_t lanes = (c.channels + 15) / 16 * 16;
    return pixels == c.tokens && (4 * pixels + 8 * c.levels) * lanes < (int64_t{1} << 31);  // offsets have 32 bits
}

int forward(const rf_call& c) {
    const Isa& isa = current();
    if (c.layout == 1 && must_pack(c, isa.width, false)) return RF_BAD_LAYOUT;
    const bool packed = should_pack(c, isa.width, false);
    const Plan plan(c, isa.width, packed);
    const auto points = plan.points();
    const auto layout = plan.layout();
    const int64_t units = c.batch * c.heads, threads = useful_threads(c), lanes = plan.lanes();
    // A bfloat16 value keeps its storage in the slice where channels fill whole pairs of vectors.
    const bool paired = c.storage == RF_BFLOAT16 && lanes % (2 * isa.width) == 0;
    const int64_t slice_floats = packed ? layout.packed_pixels * lanes / (paired ? 2 : 1) : 0;
    relforge::prefer_huge_pages(c.output, static_cast<size_t>(c.batch * c.queries * c.heads * c.channels) *
                                              (c.storage == RF_BFLOAT16 ? 2 : 4));
    std::atomic<bool> out_of_memory{false};
    // With fewer (batch, head) pairs than threads the queries of each are shared, and slices are packed beforehand.
    const int64_t parts = units >= threads ? 1 : (threads + units - 1) / units;
    Buffer shared(parts > 1 && packed ? static_cast<size_t>(units * slice_floats) : 16);
    if (!shared.data()) return RF_NO_MEMORY;
    if (parts > 1 && packed)
        parallel(units, threads, [&](int64_t u) {
            isa.pack(c, layout, u / c.heads, u % c.heads, shared.data() + u * slice_floats, paired);
        });
    parallel(units * parts, threads, [&](int64_t i) {
        const int64_t unit = i / parts, part = i % parts, b = unit / c.heads, h = unit % c.heads;
        const bool own_slice = packed && parts == 1;
        Buffer work(static_cast<size_t>((own_slice ? slice_floats : 0) + isa.scratch(points, lanes) + 2 * lanes));
        if (!work.data()) return out_of_memory.store(true);
        float* slice = own_slice ? work.data() : packed ? shared.data() + unit * slice_floats : nullptr;
        float* zeros = work.data() + (own_slice ? slice_floats : 0);
        memset(zeros, 0, static_cast<size_t>(lanes) * sizeof(float));
        if (own_slice) isa.pack(c, layout, b, h, slice, paired);
        isa.forward(c, points, b, h, c.queries * part / parts, c.queries * (part + 1) / parts, lanes, slice, paired,
                    zeros, zeros + lanes);
    });
    return out_of_memory ? RF_NO_MEMORY : RF_OK;
}

int backward(const rf_call& c) {
    const Isa& isa = current();
    if (c.layout == 1 && must_pack(c, isa.width, true)) return RF_BAD_LAYOUT;
    const bool packed = should_pack(c, isa.width, true);
    const Plan plan(c, isa.width, packed);
    const auto points = plan.points();
    const auto layout = plan.layout();
    const int64_t units = c.batch * c.heads, threads = useful_threads(c), lanes = plan.lanes();
    const int64_t slice_floats = packed ? layout.packed_pixels * lanes : 0;
    const size_t value_bytes = static_cast<size_t>(c.batch * c.tokens * c.heads * c.channels) *
                               (c.storage == RF_BFLOAT16 ? 2 : 4);
    const size_t samples = static_cast<size_t>(c.batch * c.queries * c.heads * points.count);
    relforge::prefer_huge_pages(c.grad_value, value_bytes);
    relforge::prefer_huge_pages(c.grad_locations, samples * 8);
    relforge::prefer_huge_pages(c.grad_weights, samples * 4);
    if (!packed) {
        char* bytes = static_cast<char*>(c.grad_value);
        parallel(threads, threads, [&](int64_t t) {
            const size_t begin = value_bytes * static_cast<size_t>(t) / static_cast<size_t>(threads);
            const size_t end = value_bytes * static_cast<size_t>(t + 1) / static_cast<size_t>(threads);
            memset(bytes + begin, 0, end - begin);
        });
    }
    std::atomic<bool> out_of_memory{false};
    parallel(units, threads, [&](int64_t unit) {
        const int64_t b = unit / c.heads, h = unit % c.heads;
        // Two blocks of the forward pass's size, so that one left by it is used again.
        Buffer work(static_cast<size_t>(slice_floats + isa.scratch(points, lanes) + 2 * lanes));
        Buffer sums(static_cast<size_t>(slice_floats));
        if (!work.data() || !sums.data()) return out_of_memory.store(true);
        float* slice = packed ? work.data() : nullptr;
        float* gradient = packed ? sums.data() : nullptr;
        float* zeros = work.data() + slice_floats;
        memset(zeros, 0, static_cast<size_t>(2 * lanes) * sizeof(float));
        if (packed) {
            isa.pack(c, layout, b, h, slice, false);
            memset(gradient, 0, static_cast<size_t>(slice_floats) * sizeof(float));
        }
        isa.backward(c, points, b, h, lanes, slice, gradient, zeros, zeros + lanes, zeros + 2 * lanes);
        if (packed) isa.unpack(c, layout, b, h, gradient);
    });
    return out_of_memory ? RF_NO_MEMORY : RF_OK;
}

template <class Run>
int guarded(const rf_call* call, const Run& run) {
    if (!call || !well_formed(*call)) return RF_BAD_CALL;
    if (call->batch == 0) return RF_OK;
    try {
        return run(*call);
    } catch (const std::bad_alloc&) {
        return RF_NO_MEMORY;
    }
}

}  // namespace

extern "C" {

// The sources this was built from; the loader refuses a library of other sources.
RF_EXPORT const char* rf_source_hash() { return RF_SOURCE_HASH; }

RF_EXPORT int rf_msda_forward(const rf_call* call) { return guarded(call, forward); }

RF_EXPORT int rf_msda_backward(const rf_call* call) { return guarded(call, backward); }

RF_EXPORT const char* rf_isa() { return current().name; }

// Use `name` (avx512, avx2, portable) from now on, or the best one for null; non-zero where it cannot run.
RF_EXPORT int rf_use_isa(const char* name) {
    const Isa* isa = nullptr;
    if (!name) isa = best_isa();
#if defined(__x86_64__)
    else if (strcmp(name, "avx512") == 0) isa = relforge::avx512_isa();
    else if (strcmp(name, "avx2") == 0) isa = relforge::avx2_isa();
#endif
    else if (strcmp(name, "portable") == 0) isa = relforge::portable_isa();
    if (!isa) return RF_BAD_CALL;
    chosen.store(isa);
    return RF_OK;
}

RF_EXPORT int64_t rf_release_buffers() { return static_cast<int64_t>(relforge::release_buffers()); }

}  // extern "C"
