// Compiled with the flags that relforge.kernels.native.build lists for portable.
#include "vec_portable.h"

#include "kernel.h"

namespace relforge {

const Isa* portable_isa() {
    static const Isa isa{"portable", portable::Vec::N, portable::scratch, portable::pack_value, portable::unpack_gradient,
                         portable::forward, portable::backward};
    return &isa;
}

}  // namespace relforge
