# Writes OUT, a C++ file that holds every migration of DIR as a string, so that a running rosterd needs no path to find them.
# Run by the build: cmake -DDIR=… -DOUT=… -P embed.cmake
file(GLOB files RELATIVE ${DIR} ${DIR}/[0-9][0-9][0-9][0-9]_*.sql)
list(SORT files)
set(text "#include \"schema/postgres/migrate.hpp\"\n\nnamespace rosterd::postgres {\n\nstd::span<const Migration> built_in_migrations() {\n  static constexpr Migration kAll[] = {\n")
foreach(file IN LISTS files)
  file(READ ${DIR}/${file} sql)
  string(REGEX MATCH "^[0-9]+" number ${file})
  string(REGEX REPLACE "^0+" "" number ${number})
  string(REGEX REPLACE "^[0-9]+_(.*)\\.sql$" "\\1" name ${file})
  string(APPEND text "      {${number}, \"${name}\", R\"~sql~(${sql})~sql~\"},\n")
endforeach()
string(APPEND text "  };\n  return kAll;\n}\n\n}  // namespace rosterd::postgres\n")
file(WRITE ${OUT} "${text}")
