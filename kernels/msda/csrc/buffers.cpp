#include "buffers.h"

#include <stdint.h>
#include <stdlib.h>

#include <mutex>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace relforge {
namespace {

constexpr size_t PAGE = 4096;
constexpr size_t HUGE_PAGE = size_t{2} << 20;
constexpr size_t KEEP_BYTES = size_t{64} << 20;  // idle memory beyond this is returned to the system

struct Block {
    float* data;
    size_t bytes;
};

std::mutex lock;
std::vector<Block> idle;
size_t idle_bytes = 0;

}  // namespace

Buffer::Buffer(size_t floats) {
    const size_t wanted = (floats * sizeof(float) + PAGE - 1) / PAGE * PAGE;  // so that calls of one size reuse their blocks
    const size_t align = wanted >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    {
        std::lock_guard<std::mutex> guard(lock);
        size_t best = idle.size();
        for (size_t i = 0; i < idle.size(); ++i)
            if (idle[i].bytes >= wanted && (best == idle.size() || idle[i].bytes < idle[best].bytes)) best = i;
        // A block more than four times too large stays for a call that needs it.
        if (best < idle.size() && idle[best].bytes / 4 <= wanted) {
            data_ = idle[best].data;
            bytes_ = idle[best].bytes;
            idle_bytes -= bytes_;
            idle[best] = idle.back();
            idle.pop_back();
            return;
        }
    }
    void* memory = nullptr;
    if (posix_memalign(&memory, align, wanted) != 0) {
        release_buffers();
        if (posix_memalign(&memory, align, wanted) != 0) return;
    }
    prefer_huge_pages(memory, wanted);
    data_ = static_cast<float*>(memory);
    bytes_ = wanted;
}

Buffer::~Buffer() {
    if (!data_) return;
    {
        std::lock_guard<std::mutex> guard(lock);
        if (idle_bytes + bytes_ <= KEEP_BYTES) {
            idle.push_back({data_, bytes_});
            idle_bytes += bytes_;
            return;
        }
    }
    free(data_);
}

size_t release_buffers() {
    std::lock_guard<std::mutex> guard(lock);
    const size_t freed = idle_bytes;
    for (const Block& block : idle) free(block.data);
    idle.clear();
    idle_bytes = 0;
    return freed;
}

void prefer_huge_pages(void* data, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) & ~(HUGE_PAGE - 1);
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)data;
    (void)bytes;
#endif
}

}  // namespace relforge
