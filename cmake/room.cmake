# A room is a static library with its own includes, warnings and links. KNOWS lists the rooms whose headers it may include
# (tests/layering_test.cpp holds the same table against every #include); USES lists outside libraries that stay inside it.
#
#   rosterd_room(sync SOURCES sync/plan.cpp sync/guard.cpp KNOWS rosterd::model rosterd::store_api USES PkgConfig::PCRE2)

add_library(rosterd_options INTERFACE)
target_include_directories(rosterd_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(rosterd_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
target_compile_definitions(rosterd_options INTERFACE ROSTERD_VERSION="${PROJECT_VERSION}")
target_link_options(rosterd_options INTERFACE -fuse-ld=mold)
target_link_libraries(rosterd_options INTERFACE Threads::Threads fmt::fmt)
# Warnings are judged with the compiler that rosterd is built with; clang only fuzzes it and has others.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(rosterd_options INTERFACE -Werror)
endif()
if(ROSTERD_FUZZ)
  target_compile_options(rosterd_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ROSTERD_SANITIZE)
  target_compile_options(rosterd_options INTERFACE -fsanitize=${ROSTERD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(rosterd_options INTERFACE -fsanitize=${ROSTERD_SANITIZE})
endif()

# What nearly every file reads anyway, compiled once for rooms (-fPIC), once for programs (-fPIE) and once, with the test library, for tests: a
# precompiled header is good only for the flags it was made with. -fpch-preprocess lets ccache see which one a file was compiled with; without it ccache caches none of them.
set(ROSTERD_PCH <algorithm> <chrono> <cstdint> <functional> <map> <memory> <optional> <span> <string> <string_view> <thread>
    <unordered_map> <utility> <variant> <vector> <fmt/format.h> <tl/expected.hpp>)
target_compile_options(rosterd_options INTERFACE -fpch-preprocess)
file(WRITE ${PROJECT_BINARY_DIR}/pch.cpp.new "// Nothing: this file is here for the precompiled header beside it.\n")
file(COPY_FILE ${PROJECT_BINARY_DIR}/pch.cpp.new ${PROJECT_BINARY_DIR}/pch.cpp ONLY_IF_DIFFERENT)
foreach(flavour room program test)
  add_library(rosterd_pch_${flavour} STATIC ${PROJECT_BINARY_DIR}/pch.cpp)
  target_link_libraries(rosterd_pch_${flavour} PRIVATE rosterd_options)
  target_precompile_headers(rosterd_pch_${flavour} PRIVATE ${ROSTERD_PCH})
endforeach()
foreach(flavour program test)
  set_target_properties(rosterd_pch_${flavour} PROPERTIES POSITION_INDEPENDENT_CODE OFF)  # else a library would be compiled with -fPIC
  target_compile_options(rosterd_pch_${flavour} PRIVATE -fPIE)
endforeach()
target_link_libraries(rosterd_pch_test PRIVATE GTest::gmock GTest::gtest)
target_precompile_headers(rosterd_pch_test PRIVATE <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp>)

function(rosterd_room name)
  cmake_parse_arguments(room "" "" "SOURCES;KNOWS;USES" ${ARGN})
  add_library(rosterd_${name} STATIC ${room_SOURCES})
  add_library(rosterd::${name} ALIAS rosterd_${name})
  target_link_libraries(rosterd_${name} PUBLIC rosterd_options ${room_KNOWS} PRIVATE ${room_USES})
  target_precompile_headers(rosterd_${name} REUSE_FROM rosterd_pch_room)
endfunction()

function(rosterd_program name)
  cmake_parse_arguments(program "" "" "SOURCES;KNOWS;USES" ${ARGN})
  add_executable(${name} ${program_SOURCES})
  target_link_libraries(${name} PRIVATE rosterd_options ${program_KNOWS} ${program_USES})
  target_precompile_headers(${name} REUSE_FROM rosterd_pch_program)
endfunction()

# A test program: every TEST of it becomes a ctest of its own. LABELS "slow" for what takes more than a few seconds.
function(rosterd_test name)
  cmake_parse_arguments(test "" "" "SOURCES;KNOWS;USES;LABELS" ${ARGN})
  add_executable(test_${name} ${test_SOURCES})
  target_link_libraries(test_${name} PRIVATE rosterd_options ${test_KNOWS} ${test_USES} GTest::gmock GTest::gtest GTest::gtest_main)
  target_precompile_headers(test_${name} REUSE_FROM rosterd_pch_test)
  target_compile_definitions(test_${name} PRIVATE ROSTERD_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ROSTERD_BINARY_DIR="${PROJECT_BINARY_DIR}")
  # One ctest per program: fixtures such as a private PostgreSQL are then started once for all tests of the program.
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES LABELS "${test_LABELS}" TIMEOUT 900)
  if(ROSTERD_SANITIZE MATCHES address)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/lsan.supp")
  endif()
endfunction()
