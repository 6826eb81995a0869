// Reused work memory: page faults on fresh memory cost as much as the arithmetic, so blocks are kept between calls.
#pragma once

#include <stddef.h>

namespace relforge {

// A block of at least `floats` floats, 64-byte aligned, contents arbitrary. Any thread may take and give back.
class Buffer {
public:
    explicit Buffer(size_t floats);
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    float* data() const { return data_; }  // null when memory is exhausted

private:
    float* data_ = nullptr;
    size_t bytes_ = 0;
};

// Return all idle blocks to the system; the number of bytes freed.
size_t release_buffers();

// Request huge pages for memory about to be written for the first time; a hint, ignored where unsupported.
void prefer_huge_pages(void* data, size_t bytes);

}  // namespace relforge
