// Scans every beginning of plain and damaged texts, each in a heap array of exactly its size, for the address and
// undefined-behaviour sanitizers to watch. Exits with 1 when a count or an offset is beyond its array.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <memory>
#include <string>
#include <vector>

struct rf_scan {
    const char* text;
    int64_t size, capacity;
    void* rows;
    int64_t* irregular;
    char* names;
    int64_t row_count, irregular_count, end;
};
extern "C" void rf_scan_boxes(rf_scan*);
extern "C" void rf_scan_images(rf_scan*);

static const char* const TEXTS[] = {
    R"({"segmentation": [[1.5, 2], [3e4, 5]], "area": -1.25e-3, "iscrowd": 0, "image_id": 7, "bbox": [1.5, 2, 30, 4], "category_id": 3, "id": 9})",
    R"({"segmentation": {"counts": [1, 2], "size": [3, 4]}, "bbox": [0.1, 12345678901234567890123, 1e999, -0.0], "id": 123456789012345678901})",
    R"({"bbox": [1, 2, 3, 4, 5, 6], "id": "a\"b", "note": "\\", "deep": [[[[[[[[[[[[1]]]]]]]]]]]], "x": {"a": {"b": [true, false, null]}}})",
    R"({"license": 3, "file_name": "000000000007.jpg", "height": 480, "width": 99999999999, "id": 7, "file_name": "twice"})",
    R"({"file_name": "7.jpg", "height": 480, "width": 640, "id": 7})",
    R"({"id": 1}}, ]{"id": "\)",
    "{\"id\": \"\x01\xff\xc3\"}",
};

static int scan(const std::string& text, bool images) {
    const size_t capacity = text.size() / 24 + 1;
    const std::unique_ptr<char[]> exact(new char[text.size()]), names(new char[images ? text.size() : 0]);
    memcpy(exact.get(), text.data(), text.size());
    std::vector<char> rows(capacity * (images ? 24 : 70));
    std::vector<int64_t> irregular(capacity * 3);
    rf_scan call{exact.get(), (int64_t)text.size(), (int64_t)capacity, rows.data(), irregular.data(), names.get(), 0, 0, 0};
    (images ? rf_scan_images : rf_scan_boxes)(&call);
    return call.row_count > call.capacity || call.irregular_count > call.row_count || call.end > call.size;
}

int main() {
    long records = 0;
    for (const char* first : TEXTS)
        for (const char* second : TEXTS)
            for (bool images : {false, true}) {
                const std::string text = std::string(first) + ", " + second + " , {}, {} ]";
                for (size_t size = 0; size <= text.size(); ++size, ++records)
                    if (scan(text.substr(0, size), images)) return 1;
            }
    printf("%ld records\n", records);
    return 0;
}
