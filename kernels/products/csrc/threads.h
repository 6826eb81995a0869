// Threads are started for each call: at 10-20 microseconds each they are cheap beside the milliseconds of work, and
// there is no pool to outlive a fork or to fight with torch's.
#pragma once

#include <stdint.h>

#include <system_error>
#include <thread>
#include <vector>

namespace relforge {

// work(begin, end) over [0, count) in up to `threads` equal pieces.
template <class Work>
void parallel(int64_t count, int64_t threads, const Work& work) {
    if (threads > count) threads = count;
    if (threads < 2) {
        if (count > 0) work(int64_t{0}, count);
        return;
    }
    std::vector<std::thread> others;
    int64_t started = 1;
    try {
        for (; started < threads; ++started)
            others.emplace_back(work, count * started / threads, count * (started + 1) / threads);
    } catch (const std::system_error&) {
        work(count * started / threads, count);  // no more threads to be had
    }
    work(int64_t{0}, count / threads);
    for (std::thread& other : others) other.join();
}

}  // namespace relforge
