#pragma once
// Aligned tables: headings in capitals, columns as wide as their widest cell, two spaces between. Nothing is cut off, so that what is
// printed can be searched and copied.

#include <string>
#include <vector>

#include "cli/terminal.hpp"

namespace rosterd::cli {

struct Cell {
  Cell(std::string_view t, Colour c = Colour::None) : text(harmless(t)), colour(c) {}
  Cell(const char* t) : Cell(std::string_view(t)) {}
  Cell(const std::string& t) : Cell(std::string_view(t)) {}
  std::string text;
  Colour colour = Colour::None;
};

class Table {
 public:
  /// A heading that starts with '>' makes a column of numbers: aligned to the right.
  explicit Table(std::vector<std::string> headings);
  void row(std::vector<Cell> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::string text(bool colours) const;

 private:
  std::vector<std::string> headings_;
  std::vector<bool> right_;
  std::vector<std::vector<Cell>> rows_;
};

/// "label   value" lines for one object, labels aligned; an empty value is left out.
class Sheet {
 public:
  void line(std::string label, const Cell& value);
  [[nodiscard]] std::string text(bool colours) const;

 private:
  std::vector<std::pair<std::string, Cell>> lines_;
};

}  // namespace rosterd::cli
