#include "cli/table.hpp"

#include <algorithm>
#include <utility>

namespace rosterd::cli {

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
  for (auto& heading : headings_) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
}

void Table::row(std::vector<Cell> cells) {
  while (cells.size() < headings_.size()) cells.emplace_back("");
  rows_.push_back(std::move(cells));
}

std::string Table::text(bool colours) const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < headings_.size(); ++column) {
    std::size_t width = width_of(headings_[column]);
    for (const auto& row : rows_) width = std::max(width, width_of(row[column].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const auto& cell_text, const auto& cell_colour) {
    std::string made;
    for (std::size_t column = 0; column < headings_.size(); ++column) {
      const std::string& text = cell_text(column);
      const std::size_t fill = widths[column] - width_of(text);
      const bool last = column + 1 == headings_.size();
      if (right_[column]) made.append(fill, ' ');
      made += painted(text, cell_colour(column), colours && !text.empty());
      if (!last) made.append((right_[column] ? 0 : fill) + 2, ' ');
    }
    made.erase(made.find_last_not_of(' ') + 1);
    out += made + "\n";
  };
  line([&](std::size_t column) -> const std::string& { return headings_[column]; }, [](std::size_t) { return Colour::Bold; });
  for (const auto& row : rows_)
    line([&](std::size_t column) -> const std::string& { return row[column].text; },
         [&](std::size_t column) { return row[column].colour; });
  return out;
}

void Sheet::line(std::string label, const Cell& value) {
  if (!value.text.empty()) lines_.emplace_back(std::move(label), value);
}

std::string Sheet::text(bool colours) const {
  std::size_t width = 0;
  for (const auto& [label, value] : lines_) width = std::max(width, width_of(label));
  std::string out;
  for (const auto& [label, value] : lines_)
    out += painted(padded(label, width), Colour::Dim, colours) + "  " + painted(value.text, value.colour, colours) + "\n";
  return out;
}

}  // namespace rosterd::cli
