# Writes openapi.json as a C++ source: cmake -DFILE=FILE.json -DOUT=FILE.cc -P openapi_text.cmake
file(READ ${FILE} text)
# Raw literals are bounded by some compilers; the document has no line that holds )json".
string(REPLACE "\n" "\n)json\"\nR\"json(" text "${text}")
file(WRITE ${OUT} "// Written from openapi.json.
namespace bitnet::server {
extern const char* const openapi_text;
const char* const openapi_text = R\"json(${text})json\";
}  // namespace bitnet::server
")
