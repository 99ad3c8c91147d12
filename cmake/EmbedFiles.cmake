# Writes a C++ source that holds files as bytes: cmake -DFOLDER=DIR -DFILES="a.html b.css" -DFUNCTION=NAME -DOUT=FILE.cc -P EmbedFiles.cmake
#
# It defines bitnet::server::NAME(), which whoever needs it declares: name and bytes of each file, in the order given.
separate_arguments(FILES)
set(arrays "")
set(rows "")
set(number 0)
foreach(name IN LISTS FILES)
  file(READ ${FOLDER}/${name} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char file_${number}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${name}\", std::string_view(reinterpret_cast<const char*>(file_${number}), sizeof file_${number} - 1)},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "// Written by cmake/EmbedFiles.cmake from ${FILES}
#include <array>
#include <span>
#include <string_view>
#include <utility>

namespace bitnet::server {
namespace {
${arrays}
const std::array<std::pair<std::string_view, std::string_view>, ${number}> files = {{
${rows}}};
}  // namespace

std::span<const std::pair<std::string_view, std::string_view>> ${FUNCTION}() { return files; }
}  // namespace bitnet::server
")
