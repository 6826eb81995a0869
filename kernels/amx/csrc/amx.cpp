// The C interface.
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"

#define RF_EXPORT extern "C" __attribute__((visibility("default")))

namespace relforge {
int64_t weight_bytes(int64_t out, int64_t in, int64_t parts);
void pack(const float* weight, int64_t out, int64_t in, int64_t parts, void* to);
int64_t packed_rows_bytes(int64_t rows, int64_t in, int64_t parts);
int64_t linear_scratch(int64_t rows, int64_t in, int64_t out, int64_t parts);
void run(const rf_linear& call);
int64_t keys_bytes(int64_t keys, int64_t heads, int64_t width, int64_t parts);
void pack(const rf_keys& call);
int64_t attention_scratch(int64_t keys, int64_t width, int64_t threads);
void run(const rf_attention& call);
}  // namespace relforge

RF_EXPORT const char* rf_source_hash() { return RF_SOURCE_HASH; }

// Null where this process can use AMX, else why not. Linux grants its registers on request.
RF_EXPORT const char* rf_why_unavailable() {
#if defined(__linux__) && defined(__x86_64__)
    unsigned a = 7, b = 0, c = 0, d = 0;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return "this processor has no AVX-512";
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(d >> 22 & 1) || !(d >> 24 & 1)) return "this processor has no AMX for bfloat16";
    a = 7, c = 1;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(a >> 5 & 1)) return "this processor converts no bfloat16";
    constexpr long REQUEST = 0x1023, TILE_DATA = 18;
    if (syscall(SYS_arch_prctl, REQUEST, TILE_DATA)) return "the system grants no AMX registers";
    return nullptr;
#else
    return "AMX is used on Linux only";
#endif
}

RF_EXPORT int64_t rf_weight_bytes(int64_t out, int64_t in, int64_t parts) {
    return relforge::weight_bytes(out, in, parts);
}
RF_EXPORT void rf_pack_weight(const float* weight, int64_t out, int64_t in, int64_t parts, void* to) {
    relforge::pack(weight, out, in, parts, to);
}
RF_EXPORT int64_t rf_packed_rows_bytes(int64_t rows, int64_t in, int64_t parts) {
    return relforge::packed_rows_bytes(rows, in, parts);
}
RF_EXPORT int64_t rf_linear_scratch(int64_t rows, int64_t in, int64_t out, int64_t parts) {
    return relforge::linear_scratch(rows, in, out, parts);
}
RF_EXPORT void rf_linear_run(const rf_linear* call) { relforge::run(*call); }
RF_EXPORT int64_t rf_keys_bytes(int64_t keys, int64_t heads, int64_t width, int64_t parts) {
    return relforge::keys_bytes(keys, heads, width, parts);
}
RF_EXPORT void rf_pack_keys(const rf_keys* call) { relforge::pack(*call); }
RF_EXPORT int64_t rf_attention_scratch(int64_t keys, int64_t width, int64_t threads) {
    return relforge::attention_scratch(keys, width, threads);
}
RF_EXPORT void rf_attention_run(const rf_attention* call) { relforge::run(*call); }
