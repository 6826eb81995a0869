// Compiled with the flags that relforge.kernels.native.build lists for avx512.
#include "vec_avx512.h"

#include "kernel.h"

namespace relforge {

const Isa* avx512_isa() {
    static const Isa isa{"avx512", avx512::Vec::N, avx512::scratch, avx512::pack_value, avx512::unpack_gradient,
                         avx512::forward, avx512::backward};
    const bool have = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return have ? &isa : nullptr;
}

}  // namespace relforge
