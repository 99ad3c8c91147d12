#!/usr/bin/env python3
"""Writes src/tokenizers/unicode_tables.cc (run with Python 3.13 and unicodedata2 16.0.0: the Unicode version of the published tokenizers)."""
import sys

import unicodedata2 as unicodedata

CATEGORIES = ("Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co").split()
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
# Lower case that Unicode 16 added to what Python 3.13 knows.
NEW_LOWER = {0x1C89: 0x1C8A, 0xA7CB: 0x0264, 0xA7CC: 0xA7CD, 0xA7DA: 0xA7DB, 0xA7DC: 0x019B, **{c: c + 0x20 for c in range(0x10D50, 0x10D66)}}
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic


def ranges(value, codes):
    """(first code, value) wherever the value changes."""
    out, last = [], None
    for code in codes:
        v = value(code)
        if v != last:
            out.append((code, v))
            last = v
    return out


class Pool:
    """Sequences of scalars in one array, each stored once."""

    def __init__(self):
        self.items, self.places = [], {}

    def place(self, text):
        if text not in self.places:
            self.places[text] = len(self.items)
            self.items += [ord(c) for c in text]
        return self.places[text]


def mapping(pool, function):
    out = []
    for code in SCALARS:
        if code in HANGUL:
            continue
        mapped = function(chr(code))
        if mapped != chr(code):
            out.append((code, pool.place(mapped), len(mapped)))
    return out


def compositions():
    out = []
    for code in SCALARS:
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith('<') and unicodedata.normalize("NFC", chr(code)) == chr(code):
            out.append((int(parts[0], 16), int(parts[1], 16), code))
    return sorted(out)


def emit(out, declaration, rows):
    out.write(f"{declaration} = {{\n")
    line = "   "
    for row in rows:
        text = " {" + ",".join(f"{n:#x}" if i != len(row) - 1 or n > 9 else str(n) for i, n in enumerate(row)) + "}," if isinstance(row, tuple) else f" {row:#x},"
        if len(line) + len(text) > 127:
            out.write(line + "\n")
            line = "   "
        line += text
    out.write(line + "\n};\n\n")


def main():
    pool = Pool()
    lower = mapping(pool, lambda c: chr(NEW_LOWER[ord(c)]) if ord(c) in NEW_LOWER else c.lower())
    nfd = mapping(pool, lambda c: unicodedata.normalize("NFD", c))
    canonical = {row[0]: row for row in nfd}
    nfkd = [row for row in mapping(pool, lambda c: unicodedata.normalize("NFKD", c)) if canonical.get(row[0]) != row]
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write(f"// Unicode {unicodedata.unidata_version} character data; written by tools/make_unicode_tables.py, do not edit.\n")
        out.write('#include "tokenizers/unicode_tables.h"\n\nnamespace bitnet::unicode {\n\n// clang-format off\n')
        category = ranges(lambda c: CATEGORIES.index(unicodedata.category(chr(c))), range(0x110000))
        combining = ranges(lambda c: unicodedata.combining(chr(c)), range(0x110000))
        for name, kind, rows in (("category_ranges", "Range", category), ("combining_ranges", "Range", combining), ("lower_map", "Mapping", lower),
                                 ("nfd_map", "Mapping", nfd), ("nfkd_map", "Mapping", nfkd), ("compositions", "Composition", compositions()),
                                 ("scalar_pool", "char32_t", pool.items)):
            emit(out, f"const {kind} {name}[{len(rows)}]", rows)
            out.write(f"const std::size_t {name}_size = {len(rows)};\n\n")
        out.write("// clang-format on\n\n}  // namespace bitnet::unicode\n")


if __name__ == "__main__":
    main()
