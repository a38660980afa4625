# Writes a source file that holds INPUT as bytes, which FUNCTION gives (declared in HEADER):
#   cmake -DINPUT=docs/openapi.json -DOUTPUT=openapi.cpp -DHEADER=daemon/http/openapi.hpp -DFUNCTION=openapi_document -P embed.cmake
# As numbers, since a string literal has a length limit in some compilers and a raw one an end mark that the text might hold.
file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"\n\nnamespace rosterd::http {\nnamespace {\nconstexpr unsigned char kDocument[] = {${bytes}0};\n}\n
std::string_view ${FUNCTION}() { return {reinterpret_cast<const char*>(kDocument), sizeof kDocument - 1}; }\n\n}  // namespace rosterd::http\n")
