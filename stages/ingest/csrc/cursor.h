// A place in JSON text, and the plain tokens that can be read there.
//
// Plain means: what every JSON reader takes to be the same. Each function moves behind what it read and returns true, or returns
// false, and then the record is left to the general reader in Python: its text is cut off, escaped, not ASCII, or wrong.
#pragma once

#include <stdint.h>
#include <string.h>

#include <charconv>
#include <string_view>
#include <system_error>

class Cursor {
  public:
    const char* at;
    const char* const end;

    Cursor(const char* begin, const char* end) : at(begin), end(end) {}

    void space() {
        while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
    }

    // whether this character is next, after white space
    bool next(char wanted) {
        space();
        return at < end && *at == wanted;
    }

    bool take(char wanted) { return next(wanted) && (++at, true); }

    bool word(std::string_view wanted) {
        if (std::string_view(at, static_cast<size_t>(end - at)).substr(0, wanted.size()) != wanted) return false;
        at += wanted.size();
        return true;
    }

    // printable ASCII in quotes, without escapes
    bool string(std::string_view& found) {
        if (!take('"')) return false;
        const char* begin = at;
        at = find([](uint64_t word) { return equal(word, '"') | equal(word, '\\') | below(word, ' ') | (word & TOP); });
        found = {begin, static_cast<size_t>(at - begin)};
        return word("\"");
    }

    // from zero to below 10^18
    bool integer(int64_t& found) {
        space();
        const char* begin = at;
        found = 0;
        while (digit() && at - begin < 18) found = 10 * found + (*at++ - '0');
        return at == begin + 1 || (at > begin && *begin != '0');
    }

    // the double nearest to the decimal
    bool number(double& found) {
        space();
        const char *begin = at, *point = at;
        const bool negative = word("-");
        const char* whole = at;
        int64_t mantissa = digits(0);
        if (at == whole || (*whole == '0' && at > whole + 1)) return false;
        point = at;
        if (word(".")) {
            mantissa = digits(mantissa);
            if (at == ++point) return false;
        }
        const auto places = at - point;
        if (mantissa < EXACT && places <= 22 && !(at < end && (*at | ' ') == 'e')) {
            found = static_cast<double>(mantissa) / TENS[places];  // rounded once
            if (negative) found = -found;
            return true;
        }
        if (word("e") || word("E")) {
            if (!word("-")) word("+");
            const char* exponent = at;
            digits(0);
            if (at == exponent) return false;
        }
#ifdef __cpp_lib_to_chars
        return std::from_chars(begin, at, found).ec == std::errc();
#else
        return false;
#endif
    }

    // anything that is whole and plain
    bool value(int depth = 8) {
        std::string_view text;
        double ignored;
        if (next('"')) return string(text);
        if (next('[')) return depth && list([&] { return value(depth - 1); });
        if (next('{')) return depth && object([&](std::string_view) { return value(depth - 1); });
        return word("true") || word("false") || word("null") || number(ignored);
    }

    template <class Element>
    bool list(Element element) {
        if (!take('[')) return false;
        if (take(']')) return true;
        do {
            if (!element()) return false;
        } while (take(','));
        return take(']');
    }

    // `member(key)` reads the value behind a key
    template <class Member>
    bool object(Member member) {
        if (!take('{')) return false;
        if (take('}')) return true;
        std::string_view key;
        do {
            if (!string(key) || !take(':') || !member(key)) return false;
        } while (take(','));
        return take('}');
    }

    // lists of numbers in lists; the brackets are matched, the numbers are not read
    bool polygons() {
        if (!take('[')) return false;
        for (int depth = 1; depth; ++at) {
            at = find([](uint64_t word) { return equal(word, '"') | ((word << 1) & TOP) | (word & TOP); });
            if (at == end) return false;
            if (*at == '[') ++depth;
            else if (*at == ']') --depth;
            else if ((*at | ' ') != 'e') return false;
        }
        return true;
    }

    // whatever is in the brackets here; false where they do not end in this text
    bool brackets() {
        for (int depth = 0; at < end;) {
            const char mark = *at++;
            if (mark == '{' || mark == '[') ++depth;
            if (mark == '}' || mark == ']') --depth;
            if (mark == '"' && !rest_of_string()) return false;
            if (depth == 0) return true;
        }
        return false;
    }

  private:
    static constexpr uint64_t ONES = 0x0101010101010101, TOP = 0x8080808080808080;
    static constexpr int64_t EXACT = int64_t{1} << 53;  // every integer up to it is a double, and so are these
    static constexpr double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

    // The top bit of each byte that matches. Bytes behind the first one found may be marked wrongly.
    static uint64_t below(uint64_t word, char limit) { return (word - ONES * static_cast<uint8_t>(limit)) & ~word & TOP; }
    static uint64_t equal(uint64_t word, char byte) { return below(word ^ (ONES * static_cast<uint8_t>(byte)), 1); }

    // the first byte from here that `marks` marks, eight bytes at a time
    template <class Marks>
    const char* find(Marks marks) const {
        const char* from = at;
        for (; end - from >= 8; from += 8) {
            uint64_t word;
            memcpy(&word, from, 8);
            if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
            if (const uint64_t found = marks(word)) return from + __builtin_ctzll(found) / 8;
        }
        while (from < end && !marks(ONES * static_cast<uint8_t>(*from))) ++from;
        return from;
    }

    bool digit() const { return at < end && *at >= '0' && *at <= '9'; }

    // the digits here behind those of `number`; what is too large to be exact stays so
    int64_t digits(int64_t number) {
        for (; digit(); ++at)
            if (number < EXACT) number = 10 * number + (*at - '0');
        return number;
    }

    bool rest_of_string() {
        while (at < end) {
            const char mark = *at++;
            if (mark == '"') return true;
            if (mark == '\\' && at < end) ++at;
        }
        return false;
    }
};
