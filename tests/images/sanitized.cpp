// Resizes between awkward sizes with every instruction set, in heap arrays of exactly their size, under the address
// and undefined-behaviour sanitizers. Exits with 1 when a call is refused or the sets' pixels differ.
#include <stdint.h>
#include <stdio.h>

#include <vector>

extern "C" int rf_resize(const uint8_t*, int64_t, int64_t, uint8_t*, int64_t, int64_t, int32_t, int32_t);
extern "C" int rf_use_isa(const char*);

static const int64_t SIDES[] = {1, 2, 4, 5, 9, 22, 41};

static std::vector<uint8_t> resized(int64_t rows, int64_t columns, int64_t height, int64_t width, int32_t way) {
    std::vector<uint8_t> pixels(static_cast<size_t>(3 * rows * columns)), made(static_cast<size_t>(3 * height * width));
    for (size_t n = 0; n < pixels.size(); ++n) pixels[n] = n * n % 7 < 3 ? 0 : 255;
    if (rf_resize(pixels.data(), rows, columns, made.data(), height, width, way % 2, way / 2)) made.clear();
    return made;
}

int main() {
    std::vector<std::vector<uint8_t>> expected;
    for (const char* isa : {"portable", "avx2", "vnni"}) {
        if (rf_use_isa(isa)) continue;
        size_t call = 0;
        for (int64_t rows : SIDES)
            for (int64_t columns : SIDES)
                for (int64_t height : SIDES)
                    for (int64_t width : SIDES)
                        for (int32_t way : {0, 1, 2, 3}) {
                            const auto made = resized(rows, columns, height, width, way);
                            if (call == expected.size()) expected.push_back(made);
                            if (made.empty() || made != expected[call++]) {
                                printf("%s: %d x %d to %d x %d, way %d failed\n", isa, (int)rows, (int)columns,
                                       (int)height, (int)width, (int)way);
                                return 1;
                            }
                        }
        printf("%s\n", isa);
    }
    return 0;
}
