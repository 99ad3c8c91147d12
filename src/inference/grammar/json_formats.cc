// The string formats of JSON Schema that are written, each as a regex of the subset of write_regex.
#include <array>

#include "inference/grammar/json_schema.h"

namespace bitnet {
namespace {

// Years 1000 to 9999; the 29th of February in the years that have it.
#define BITNET_DATE                                                                                                            \
  "(?:[1-9]\\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]" \
  "))"                                                                                                                         \
  "|(?:[1-9]\\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)"
#define BITNET_TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define BITNET_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define BITNET_HOST BITNET_LABEL "(?:\\." BITNET_LABEL "){0,4}"
#define BITNET_BYTE "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]\\d|\\d)"

struct Format {
  std::string_view name;
  const char* pattern;
};

constexpr std::array<Format, 11> formats = {{
    {"date", "^" BITNET_DATE "$"},
    {"time", "^" BITNET_TIME "$"},
    {"date-time", "^" BITNET_DATE "T" BITNET_TIME "$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"email", "^[A-Za-z0-9_+-]{1,24}(?:\\.[A-Za-z0-9_+-]{1,24}){0,3}@" BITNET_LABEL "(?:\\." BITNET_LABEL "){1,4}$"},
    {"ipv4", "^" BITNET_BYTE "(?:\\." BITNET_BYTE "){3}$"},
    {"ipv6", "^(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}$"},
    {"hostname", "^" BITNET_HOST "$"},
    {"uri", "^https?://" BITNET_HOST "(?::[1-9]\\d{0,3})?(?:/[A-Za-z0-9._~-]{1,64}){0,16}/?(?:\\?[A-Za-z0-9._~=&-]{1,128})?$"},
    {"url", "^https?://" BITNET_HOST "(?::[1-9]\\d{0,3})?(?:/[A-Za-z0-9._~-]{1,64}){0,16}/?(?:\\?[A-Za-z0-9._~=&-]{1,128})?$"},
    {"duration", "^P(?:\\d{1,3}D(?:T\\d{1,3}H)?|T(?:\\d{1,3}H)?\\d{1,3}M|T\\d{1,3}[HS]|\\d{1,3}[WMY])$"},
}};

}  // namespace

const char* format_pattern(std::string_view format) {
  for (const Format& known : formats) {
    if (known.name == format) return known.pattern;
  }
  return nullptr;
}

}  // namespace bitnet
