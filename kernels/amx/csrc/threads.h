// Threads are started for each call: 10 to 20 microseconds each are little beside milliseconds of work, and without a pool
// nothing breaks after a fork or competes with torch's threads.
#pragma once

#include <stdint.h>

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace relforge {

// How many of the threads are worth starting for so many multiply-adds.
inline int64_t useful_threads(int64_t work, int64_t threads) {
    constexpr int64_t WORTH = 100'000'000;  // about 0.4 ms
    const int64_t useful = work / WORTH + 1;
    return threads < useful ? threads : useful;
}

// work(begin, end, worker) over [0, count), in a few pieces for each of up to `threads` workers: cores are not equally
// fast, least of all those that share their matrix unit with another.
template <class Work>
void parallel(int64_t count, int64_t threads, const Work& work) {
    constexpr int64_t PIECES = 4;
    if (threads < 2 || count < 2) {
        if (count > 0) work(int64_t{0}, count, int64_t{0});
        return;
    }
    const int64_t pieces = count < threads * PIECES ? count : threads * PIECES;
    std::atomic<int64_t> next{0};
    const auto run = [&](int64_t worker) {
        for (int64_t i; (i = next.fetch_add(1)) < pieces;) work(count * i / pieces, count * (i + 1) / pieces, worker);
    };
    std::vector<std::thread> others;
    try {
        for (int64_t t = 1; t < threads && t < pieces; ++t) others.emplace_back(run, t);
    } catch (const std::system_error&) {
        // The system starts no more threads: those that run share the work.
    }
    run(0);
    for (std::thread& other : others) other.join();
}

}  // namespace relforge
