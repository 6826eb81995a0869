// COCO's records from JSON text to rows of numbers; stages/ingest/scan.py describes the rows and calls this.
//
// A record that is whole but not plain has an entry in `irregular` and a row without meaning: the general reader in Python fills it.
#include "cursor.h"

#define RF_EXPORT __attribute__((visibility("default")))

extern "C" {

// BOX of stages/ingest/spill.py
struct __attribute__((packed)) rf_box {
    int64_t image, annotation, source, category;
    double xywh[4];
    int32_t box_id;
    uint8_t crowd, malformed;
};

// IMAGE of stages/ingest/scan.py
struct __attribute__((packed)) rf_image {
    int64_t id;
    int32_t width, height;
    int64_t name_end;  // in `names`, where each name starts at the end of the one before
};

// IRREGULAR of stages/ingest/scan.py
struct rf_irregular {
    int64_t row, begin, end;  // of the record in the text
};

struct rf_scan {
    const char* text;
    int64_t size;
    int64_t capacity;  // of `rows` and of `irregular`
    void* rows;
    rf_irregular* irregular;
    char* names;  // `size` bytes
    int64_t row_count, irregular_count, end;  // what was found; `end` is behind the last record
};
}

namespace {

constexpr double LARGE = 1e15;  // beyond, the general reader decides what is a coordinate

// Which of the members that a row needs were there: once each.
struct Members {
    unsigned seen = 0;
    bool first(unsigned member) {
        const unsigned before = seen;
        return (seen |= member) != before;
    }
};

bool coordinate(Cursor& text, double& found) {
    const bool plain = text.number(found);
    return plain && found < LARGE && found > -LARGE && !(found == 0 && __builtin_signbit(found));
}

bool box(Cursor& text, rf_box& row, rf_scan&) {
    enum : unsigned { BBOX = 1, IMAGE = 2, CATEGORY = 4, ID = 8, CROWD = 16 };
    row = {};
    row.box_id = -1;
    Members members;
    const bool plain = text.object([&](std::string_view key) {
        int64_t number;
        if (key == "segmentation") return text.next('[') ? text.polygons() : text.value();
        if (key == "image_id") return text.integer(number) && (row.image = number, members.first(IMAGE));
        if (key == "category_id") return text.integer(number) && (row.category = number, members.first(CATEGORY));
        if (key == "id") return text.integer(number) && (row.annotation = row.source = number, members.first(ID));
        if (key == "iscrowd") return text.integer(number) && (row.crowd = number != 0, members.first(CROWD));
        if (key == "box_id" || key == "source_id") return false;
        if (key != "bbox") return text.value();
        double xywh[4];
        int count = 0;
        if (!text.list([&] { return count < 4 && coordinate(text, xywh[count++]); }) || count < 4) return false;
        memcpy(row.xywh, xywh, sizeof xywh);
        return members.first(BBOX);
    });
    return plain && (members.seen | CROWD) == (BBOX | IMAGE | CATEGORY | ID | CROWD);
}

bool image(Cursor& text, rf_image& row, rf_scan& scan) {
    enum : unsigned { ID = 1, NAME = 2, WIDTH = 4, HEIGHT = 8 };
    row = {};
    row.name_end = scan.row_count ? (&row)[-1].name_end : 0;
    Members members;
    std::string_view name;
    const bool plain = text.object([&](std::string_view key) {
        int64_t number;
        if (key == "id") return text.integer(number) && (row.id = number, members.first(ID));
        if (key == "file_name") return text.string(name) && members.first(NAME);
        const bool is_width = key == "width";
        if (!is_width && key != "height") return text.value();
        if (!text.integer(number) || number > INT32_MAX) return false;
        (is_width ? row.width : row.height) = static_cast<int32_t>(number);
        return members.first(is_width ? WIDTH : HEIGHT);
    });
    if (!plain || members.seen != (ID | NAME | WIDTH | HEIGHT)) return false;
    memcpy(scan.names + row.name_end, name.data(), name.size());
    row.name_end += static_cast<int64_t>(name.size());
    return true;
}

template <class Row>
void records(rf_scan& scan, bool (*read)(Cursor&, Row&, rf_scan&)) {
    Cursor text(scan.text, scan.text + scan.size);
    scan.row_count = scan.irregular_count = scan.end = 0;
    while (scan.row_count < scan.capacity && text.next('{')) {
        const char* begin = text.at;
        if (!read(text, static_cast<Row*>(scan.rows)[scan.row_count], scan)) {
            text.at = begin;
            if (!text.brackets()) return;
            scan.irregular[scan.irregular_count++] = {scan.row_count, begin - scan.text, text.at - scan.text};
        }
        scan.row_count += 1;
        scan.end = text.at - scan.text;
        if (!text.take(',')) return;
    }
}

}  // namespace

extern "C" {
RF_EXPORT void rf_scan_boxes(rf_scan* scan) { records<rf_box>(*scan, box); }
RF_EXPORT void rf_scan_images(rf_scan* scan) { records<rf_image>(*scan, image); }
RF_EXPORT const char* rf_source_hash() { return RF_SOURCE_HASH; }
}
