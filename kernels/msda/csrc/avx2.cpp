// Compiled with the flags that relforge.kernels.native.build lists for avx2.
#include "vec_avx2.h"

#include "kernel.h"

namespace relforge {

const Isa* avx2_isa() {
    static const Isa isa{"avx2", avx2::Vec::N, avx2::scratch, avx2::pack_value, avx2::unpack_gradient,
                         avx2::forward, avx2::backward};
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &isa : nullptr;
}

}  // namespace relforge
