# bitnet_component(NAME SOURCES ... LINKS ...) and bitnet_test(NAME SOURCES ... LINKS ...): the only ways a target is made.

# What every target of the project is compiled with. Contraction is off because a fused multiply-add rounds once where the
# numeric contract rounds twice; errno from math calls is off so that sqrt stays one instruction.
add_library(bitnet-options INTERFACE)
target_compile_options(bitnet-options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -ffp-contract=off -fno-math-errno -fvisibility=hidden)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(bitnet-options INTERFACE -Wno-restrict)  # GCC 12 reports std::string's own copies (GCC bug 105329)
endif()
target_include_directories(bitnet-options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(bitnet-options INTERFACE FMT_HEADER_ONLY)
if(BITNET_SANITIZE)
  target_compile_options(bitnet-options INTERFACE -fsanitize=${BITNET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(bitnet-options INTERFACE -fsanitize=${BITNET_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(bitnet-options INTERFACE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -D_GLIBCXX_ASSERTIONS)
  target_link_options(bitnet-options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()

function(bitnet_component name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(bitnet-${name} STATIC ${ARG_SOURCES})
  target_link_libraries(bitnet-${name} PUBLIC bitnet-options ${ARG_LINKS})
endfunction()

# A GoogleTest program named bitnet-NAME-test whose cases carry the label NAME: `ctest -L NAME` tests one component alone.
# The target bitnet-unit-tests builds all of them.
add_custom_target(bitnet-unit-tests)
function(bitnet_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(bitnet-${name}-test ${ARG_SOURCES})
  add_dependencies(bitnet-unit-tests bitnet-${name}-test)
  target_link_libraries(bitnet-${name}-test PRIVATE ${ARG_LINKS} GTest::gmock_main)
  target_include_directories(bitnet-${name}-test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(bitnet-${name}-test PRIVATE BITNET_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  include(GoogleTest)
  gtest_discover_tests(bitnet-${name}-test DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${name} TIMEOUT 600)
endfunction()
