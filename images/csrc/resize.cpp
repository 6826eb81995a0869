// Pillow's resize of 8-bit RGB images, to the bit; images/resample.py calls this.
#include <string.h>

#include <atomic>
#include <new>
#include <vector>

#include "passes.h"

#define RF_EXPORT __attribute__((visibility("default")))

namespace {

using namespace relforge;

enum { RF_OK = 0, RF_NO_MEMORY = 1, RF_BAD_CALL = 2 };

const Isa* best_isa() {
#if defined(__x86_64__)
    if (const Isa* isa = vnni_isa()) return isa;
    if (const Isa* isa = avx2_isa()) return isa;
#endif
    return portable_isa();
}

std::atomic<const Isa*> chosen{nullptr};

const Isa& current() {
    const Isa* isa = chosen.load();
    if (!isa) chosen.store(isa = best_isa());
    return *isa;
}

struct Pixels {
    const uint8_t* pixels;
    int64_t height, width;

    int64_t stride() const { return 3 * width; }
    const uint8_t* row(int64_t n) const { return pixels + n * stride(); }
    const uint8_t* end() const { return row(height); }
};

void horizontal_only(const Pixels& from, uint8_t* out, int64_t width, Filter filter) {
    Horizontal horizontal(current(), from.width, width, filter);
    for (int64_t y = 0; y < from.height; ++y) horizontal(from.row(y), from.end(), out + 3 * width * y);
}

void vertical_only(const Pixels& from, uint8_t* out, int64_t height, Filter filter) {
    Vertical vertical(current(), from.height, height, filter, from.stride());
    const auto row = [&](int64_t n) { return from.row(n); };
    for (int64_t y = 0; y < height; ++y) vertical(y, row, out + from.stride() * y);
}

void vertical_then_horizontal(const Pixels& from, uint8_t* out, int64_t height, int64_t width, Filter filter) {
    Vertical vertical(current(), from.height, height, filter, from.stride());
    Horizontal horizontal(current(), from.width, width, filter);
    std::vector<uint8_t> between(static_cast<size_t>(horizontal.readable_bytes()));
    const auto row = [&](int64_t n) { return from.row(n); };
    for (int64_t y = 0; y < height; ++y) {
        vertical(y, row, between.data());
        horizontal(between.data(), between.data() + between.size(), out + 3 * width * y);
    }
}

// Only the rows that one output row needs are kept between the passes, so that they stay in the cache.
void horizontal_then_vertical(const Pixels& from, uint8_t* out, int64_t height, int64_t width, Filter filter) {
    Horizontal horizontal(current(), from.width, width, filter);
    Vertical vertical(current(), from.height, height, filter, 3 * width);
    const int64_t kept = vertical.max_taps();
    std::vector<uint8_t> between(static_cast<size_t>(3 * width * kept));
    const auto buffer_row = [&](int64_t n) { return &between[static_cast<size_t>(n % kept * 3 * width)]; };
    int64_t made = 0;
    const auto row = [&](int64_t n) -> const uint8_t* {
        for (; made <= n; ++made) horizontal(from.row(made), from.end(), buffer_row(made));
        return buffer_row(n);
    };
    for (int64_t y = 0; y < height; ++y) vertical(y, row, out + 3 * width * y);
}

}  // namespace

extern "C" {

// The sources this was built from; the loader refuses a library of other sources.
RF_EXPORT const char* rf_source_hash() { return RF_SOURCE_HASH; }

// rows x columns x 3 to height x width x 3, horizontal pass first unless `vertical_first`. Thread-safe.
RF_EXPORT int rf_resize(const uint8_t* pixels, int64_t rows, int64_t columns, uint8_t* out, int64_t height,
                        int64_t width, int32_t filter, int32_t vertical_first) {
    if (rows < 1 || columns < 1 || height < 1 || width < 1) return RF_BAD_CALL;
    if (filter != BILINEAR && filter != BICUBIC) return RF_BAD_CALL;
    const Pixels from{pixels, rows, columns};
    const Filter kind = static_cast<Filter>(filter);
    try {
        if (rows == height && columns == width) memcpy(out, pixels, static_cast<size_t>(from.stride() * rows));
        else if (rows == height) horizontal_only(from, out, width, kind);
        else if (columns == width) vertical_only(from, out, height, kind);
        else if (vertical_first) vertical_then_horizontal(from, out, height, width, kind);
        else horizontal_then_vertical(from, out, height, width, kind);
    } catch (const std::bad_alloc&) {
        return RF_NO_MEMORY;
    }
    return RF_OK;
}

// Use `name` (vnni, avx2, portable) from now on, or the best one for null; non-zero where it cannot run.
RF_EXPORT int rf_use_isa(const char* name) {
    const Isa* isa = nullptr;
    if (!name) isa = best_isa();
#if defined(__x86_64__)
    else if (strcmp(name, "vnni") == 0) isa = vnni_isa();
    else if (strcmp(name, "avx2") == 0) isa = avx2_isa();
#endif
    else if (strcmp(name, "portable") == 0) isa = portable_isa();
    if (!isa) return RF_BAD_CALL;
    chosen.store(isa);
    return RF_OK;
}

}  // extern "C"
