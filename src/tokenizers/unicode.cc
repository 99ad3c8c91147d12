// Looks characters up in the generated tables, and normalises text (UAX #15).
#include "tokenizers/unicode.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/utf8.h"
#include "tokenizers/unicode_tables.h"

namespace bitnet::unicode {
namespace {

constexpr char32_t code_count = 0x110000;

// One byte per scalar: a look-up then costs one load, and 1 MiB is little beside any vocabulary.
std::vector<std::uint8_t> flatten(const Range* ranges, std::size_t size) {
  std::vector<std::uint8_t> table(code_count);
  for (std::size_t i = 0; i < size; ++i) {
    const char32_t end = i + 1 < size ? ranges[i + 1].first : code_count;
    std::fill(table.begin() + ranges[i].first, table.begin() + end, ranges[i].value);
  }
  return table;
}

std::uint8_t combining_class(char32_t code) {
  static const std::vector<std::uint8_t> table = flatten(combining_ranges, combining_ranges_size);
  return code < code_count ? table[code] : 0;
}

const Mapping* find(const Mapping* map, std::size_t size, char32_t code) {
  const Mapping* found = std::lower_bound(map, map + size, code, [](const Mapping& m, char32_t c) { return m.code < c; });
  return found != map + size && found->code == code ? found : nullptr;
}

// Hangul syllables are composed and decomposed by arithmetic (Unicode 15, 3.12).
constexpr char32_t s_base = 0xac00, l_base = 0x1100, v_base = 0x1161, t_base = 0x11a7;
constexpr char32_t l_count = 19, v_count = 21, t_count = 28, s_count = l_count * v_count * t_count;

void decompose(std::u32string& out, char32_t code, bool compatible) {
  if (code < 0xa0) {
    out += code;
  } else if (code - s_base < s_count) {
    const char32_t s = code - s_base, t = s % t_count;
    out += l_base + s / (v_count * t_count);
    out += v_base + s % (v_count * t_count) / t_count;
    if (t != 0) out += t_base + t;
  } else {
    const Mapping* m = compatible ? find(nfkd_map, nfkd_map_size, code) : nullptr;
    if (m == nullptr) m = find(nfd_map, nfd_map_size, code);
    if (m == nullptr) {
      out += code;
    } else {
      out.append(scalar_pool + m->place, m->size);
    }
  }
}

void sort_marks(std::u32string& text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (combining_class(text[at]) == 0) continue;
    std::size_t end = at;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + static_cast<std::ptrdiff_t>(at), text.begin() + static_cast<std::ptrdiff_t>(end),
                     [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
}

char32_t compose_pair(char32_t a, char32_t b) {  // 0 when the two do not compose
  if (a - l_base < l_count && b - v_base < v_count) return s_base + ((a - l_base) * v_count + (b - v_base)) * t_count;
  if (a - s_base < s_count && (a - s_base) % t_count == 0 && b - t_base < t_count && b != t_base) return a + (b - t_base);
  const Composition* end = compositions + compositions_size;
  const Composition* found = std::lower_bound(compositions, end, std::pair(a, b), [](const Composition& c, const auto& key) {
    return std::pair(c.first, c.second) < key;
  });
  return found != end && found->first == a && found->second == b ? found->composed : 0;
}

std::u32string compose(const std::u32string& text) {
  std::u32string out;
  std::size_t starter = std::u32string::npos;
  int last_class = -1;  // of what stands between the starter and here; -1 for nothing
  for (const char32_t code : text) {
    const int klass = combining_class(code);
    // A mark reaches the starter past lower classes only; another starter only when nothing stands between.
    if (starter != std::u32string::npos && last_class < klass) {
      const char32_t composed = compose_pair(out[starter], code);
      if (composed != 0) {
        out[starter] = composed;
        continue;
      }
    }
    if (klass == 0) {
      starter = out.size();
      last_class = -1;
    } else {
      last_class = klass;
    }
    out += code;
  }
  return out;
}

// Normalises each stretch of valid UTF-8; broken bytes pass as they are and separate the stretches.
std::string normalise(std::string_view text, bool compatible, bool composed) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return std::string(text);
  std::string out;
  std::u32string stretch;
  const auto flush = [&] {
    sort_marks(stretch);
    for (const char32_t code : composed ? compose(stretch) : stretch) utf8_append(out, code);
    stretch.clear();
  };
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    if (c.valid) {
      decompose(stretch, c.code, compatible);
    } else {
      flush();
      out += text.substr(0, c.size);
    }
    text.remove_prefix(c.size);
  }
  flush();
  return out;
}

}  // namespace

Category category(char32_t code) {
  static const std::vector<std::uint8_t> table = flatten(category_ranges, category_ranges_size);
  return code < code_count ? static_cast<Category>(table[code]) : Category::Cn;
}

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
         code == 0x3000;
}

void append_lower(std::string& out, char32_t code) {
  const Mapping* m = find(lower_map, lower_map_size, code);
  if (m == nullptr) return utf8_append(out, code);
  for (int i = 0; i < m->size; ++i) utf8_append(out, scalar_pool[m->place + static_cast<std::uint32_t>(i)]);
}

std::string nfc(std::string_view text) { return normalise(text, false, true); }
std::string nfd(std::string_view text) { return normalise(text, false, false); }
std::string nfkc(std::string_view text) { return normalise(text, true, true); }

}  // namespace bitnet::unicode
