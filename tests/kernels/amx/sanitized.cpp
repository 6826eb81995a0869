// Runs both precisions on awkward sizes in exactly-sized heap arrays, under the address and undefined-behaviour
// sanitizers. Exits with 1 where an output number is not finite.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "call.h"

extern "C" __attribute__((weak)) int rf_emulated;  // defined where AMX is emulated
extern "C" const char* rf_why_unavailable();
extern "C" int64_t rf_weight_bytes(int64_t, int64_t, int64_t);
extern "C" void rf_pack_weight(const float*, int64_t, int64_t, int64_t, void*);
extern "C" int64_t rf_packed_rows_bytes(int64_t, int64_t, int64_t);
extern "C" int64_t rf_linear_scratch(int64_t, int64_t, int64_t, int64_t);
extern "C" void rf_linear_run(const rf_linear*);
extern "C" int64_t rf_keys_bytes(int64_t, int64_t, int64_t, int64_t);
extern "C" void rf_pack_keys(const rf_keys*);
extern "C" int64_t rf_attention_scratch(int64_t, int64_t, int64_t);
extern "C" void rf_attention_run(const rf_attention*);

struct Memory {
    explicit Memory(int64_t bytes) { if (posix_memalign(&data, 64, static_cast<size_t>(bytes))) abort(); }
    ~Memory() { free(data); }
    void* data = nullptr;
};

static std::vector<float> numbers(int64_t count) {
    std::vector<float> made(static_cast<size_t>(count));
    for (float& x : made) x = static_cast<float>(rand()) / static_cast<float>(RAND_MAX) - 0.5f;
    return made;
}

static bool finite(const std::vector<float>& numbers) {
    for (float x : numbers)
        if (!isfinite(x)) return false;
    return true;
}

static bool linear(int64_t rows, int64_t in, int64_t out, int64_t parts) {
    const auto x = numbers(rows * in), weight = numbers(out * in), bias = numbers(out), scale = numbers(in);
    auto y = numbers(rows * out);
    Memory packed(rf_weight_bytes(out, in, parts)), scratch(rf_linear_scratch(rows, in, out, parts));
    rf_pack_weight(weight.data(), out, in, parts, packed.data);
    for (int64_t threads = 1; threads < 4; ++threads) {
        rf_linear c{};
        c.rows = rows, c.in_features = in, c.out_features = out, c.parts = parts, c.threads = threads, c.gelu = 1, c.eps = 1e-5;
        c.x = x.data(), c.weight = packed.data, c.bias = bias.data(), c.scale = c.shift = scale.data();
        c.scratch = scratch.data, c.residual = c.y = y.data();
        rf_linear_run(&c);
        Memory between(rf_packed_rows_bytes(rows, out, parts)), square(rf_weight_bytes(out, out, parts));
        Memory more(rf_linear_scratch(rows, out, out, parts));
        const auto own = numbers(out * out);
        rf_pack_weight(own.data(), out, out, parts, square.data);
        c.residual = c.y = nullptr, c.packed_y = between.data;
        rf_linear_run(&c);
        rf_linear next{};
        next.rows = rows, next.in_features = next.out_features = out, next.parts = parts, next.threads = threads;
        next.packed_x = between.data, next.weight = square.data, next.bias = bias.data();
        next.y = y.data(), next.scratch = more.data;
        rf_linear_run(&next);
    }
    return finite(y);
}

static bool attention(int64_t queries, int64_t keys, int64_t heads, int64_t width, int64_t parts) {
    const int64_t row = heads * width;
    const auto q = numbers(queries * row), k = numbers(keys * row), v = numbers(keys * row);
    auto out = numbers(queries * row);
    Memory packed(rf_keys_bytes(keys, heads, width, parts));
    for (int64_t threads = 1; threads < 4; ++threads) {
        Memory scratch(rf_attention_scratch(keys, width, threads));
        const rf_keys p{keys, heads, width, parts, k.data(), v.data(), row, packed.data, threads};
        rf_pack_keys(&p);
        const int64_t first = 0;
        rf_attention c{};
        c.count = 1, c.rows = &first, c.queries = queries, c.keys = keys, c.heads = heads, c.width = width;
        c.parts = parts, c.q = q.data(), c.packed = packed.data, c.out = out.data(), c.q_row_stride = c.out_row_stride = row;
        c.scratch = scratch.data, c.threads = threads;
        rf_attention_run(&c);
    }
    return finite(out);
}

int main() {
    if (const char* reason = &rf_emulated ? nullptr : rf_why_unavailable()) return puts(reason), 0;
    bool good = true;
    for (int64_t parts = 1; parts <= 2; ++parts) {
        for (int64_t rows : {1, 16, 17, 33}) good = linear(rows, 1030, 45, parts) && linear(rows, 7, 1, parts) && good;
        good = attention(1, 1, 1, 1, parts) && attention(19, 45, 3, 20, parts) && attention(40, 64, 2, 64, parts) && good;
    }
    puts(good ? "fine" : "not finite");
    return !good;
}
