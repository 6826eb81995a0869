// The limits of this core: multiply-adds per second, and bytes per second from each level of the memory.
// Plain loops that the compiler vectorises for the machine it runs on (-march=native). Prints "name value" lines.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

typedef float Lanes __attribute__((vector_size(64)));

static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// The best of many short runs: on a shared machine other jobs slow the rest.
template <class Run>
static double fastest(int runs, const Run& run) {
    double best = 1e9;
    for (int i = 0; i < runs; ++i) {
        const double begin = now();
        run();
        const double took = now() - begin;
        if (took < best) best = took;
    }
    return best;
}

static float* aligned(size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, size_t{2} << 20, bytes)) exit(1);
#if defined(__linux__)
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 0, bytes);
    return static_cast<float*>(memory);
}

static inline void add(Lanes sums[8], const Lanes* one, const Lanes* other) {
    for (int i = 0; i < 4; ++i) sums[i] += one[i], sums[4 + i] += other[i];
}

static inline void keep_sum(const Lanes sums[8]) {
    Lanes total = {};
    for (int i = 0; i < 8; ++i) total += sums[i];
    volatile float number = total[0];
    (void)number;
}

int main() {
    const Lanes step = Lanes{} + 0.5f;
    // ten chains from ten values: a compiler would compute equal ones once
    Lanes a = step, b = a + step, c = b + step, d = c + step, e = d + step;
    Lanes f = e + step, g = f + step, h = g + step, i = h + step, j = i + step;
    const long rounds = 200000;
    const double arithmetic = fastest(30, [&] {
        for (long n = 0; n < rounds; ++n) {
            a = a * step + step, b = b * step + step, c = c * step + step, d = d * step + step, e = e * step + step;
            f = f * step + step, g = g * step + step, h = h * step + step, i = i * step + step, j = j * step + step;
        }
    });
    volatile float keep = (a + b + c + d + e + f + g + h + i + j)[0];
    (void)keep;
    printf("gflop_per_s %.1f\n", static_cast<double>(rounds) * 10 * 32 / arithmetic * 1e-9);
    const size_t sizes[] = {16, 512, 2304, 17408, 262144};
    const char* names[] = {"l1", "l2", "slice", "value", "memory"};
    for (int k = 0; k < 5; ++k) {
        const size_t bytes = sizes[k] << 10;
        float* data = aligned(bytes);
        const size_t passes = bytes < (size_t{8} << 20) ? (size_t{8} << 20) / bytes : 1;
        // Eight sums: with fewer, the latency of the additions would be measured.
        const double took = fastest(k == 4 ? 4 : 30, [&] {
            Lanes sums[8] = {};
            for (size_t pass = 0; pass < passes; ++pass) {
                const Lanes* from = reinterpret_cast<const Lanes*>(data);
                for (size_t n = 0; n < bytes / 512; ++n, from += 8) add(sums, from, from + 4);
                asm volatile("" ::: "memory");
            }
            keep_sum(sums);
        });
        printf("%s_gb_per_s %.1f\n", names[k], static_cast<double>(passes * bytes) / took * 1e-9);
        // Random 256-byte blocks, two neighbouring pixels of one head: what the kernel reads from a packed slice.
        const size_t blocks = bytes / 256;
        const double random = fastest(k == 4 ? 4 : 30, [&] {
            Lanes sums[8] = {};
            uint64_t one = 1, other = 2;
            for (size_t n = 0; n < 16384; ++n) {
                one = one * 6364136223846793005ull + 1442695040888963407ull;
                other = other * 6364136223846793005ull + 1442695040888963407ull;
                const Lanes* pixels = reinterpret_cast<const Lanes*>(data);
                add(sums, pixels + ((one >> 32) * blocks >> 32) * 4, pixels + ((other >> 32) * blocks >> 32) * 4);
            }
            keep_sum(sums);
        });
        printf("%s_random_gb_per_s %.1f\n", names[k], 32768.0 * 256 / random * 1e-9);
        free(data);
    }
}
