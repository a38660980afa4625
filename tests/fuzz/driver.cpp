// Feeds a fuzz target without libFuzzer: the inputs of a corpus first, then mutations of them, the same ones for the same seed on every
// machine. It knows nothing of coverage: it is the brief, repeatable part of fuzzing, scripts/fuzz is the other one.
//
//   fuzz_NAME FILE|FOLDER...                                          each input once
//   fuzz_NAME --runs N [--seconds S] [--seed N] [--dict FILE] FOLDER  that many mutations, or as many as the seconds allow
//
// Whatever ends the program, the input it was working on lies in NAME.input below the folder of --keep (else here).

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/target.hpp"

namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr std::size_t kLongest = 64 * 1024;

[[noreturn]] void complain(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(64);
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) complain("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// In the order of their names, so that a seed means the same everywhere.
std::vector<std::string> inputs_of(const std::vector<fs::path>& paths) {
  std::set<fs::path> files;
  for (const auto& path : paths) {
    if (!fs::is_directory(path)) {
      files.insert(path);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files.insert(entry.path());
  }
  std::vector<std::string> out;
  for (const auto& file : files) out.push_back(content_of(file));
  return out;
}

/// libFuzzer's dictionaries: one "word" a line, with \\ \" and \xHH.
std::vector<std::string> words_of(const std::string& dictionary) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin < dictionary.size()) {
    const auto end = std::min(dictionary.find('\n', begin), dictionary.size());
    const auto line = dictionary.substr(begin, end - begin);
    begin = end + 1;
    const auto first = line.find('"'), last = line.rfind('"');
    if (line.empty() || line.front() == '#' || first == std::string::npos || first == last) continue;
    std::string word;
    for (auto i = first + 1; i < last; ++i) {
      if (line[i] != '\\') {
        word += line[i];
      } else if (line[i + 1] == 'x') {
        word += static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16));
        i += 3;
      } else {
        word += line[++i];
      }
    }
    out.push_back(word);
  }
  return out;
}

/// std::uniform_int_distribution may differ from library to library; this does not.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random_() % n); }

 private:
  std::mt19937_64 random_;
};

void mutate(std::string& input, Dice& dice, const std::vector<std::string>& corpus, const std::vector<std::string>& words) {
  const auto at = dice.below(input.size() + 1);
  const auto some = [&](const std::string& from) {
    const auto begin = dice.below(from.size());
    return from.substr(begin, 1 + dice.below(std::min<std::size_t>(64, from.size() - begin)));
  };
  switch (dice.below(8)) {
    case 0:  // a bit
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << dice.below(8)));
      break;
    case 1:  // a byte
      if (at < input.size()) input[at] = static_cast<char>(dice.below(256));
      break;
    case 2:
      input.insert(at, 1 + dice.below(4), static_cast<char>(dice.below(256)));
      break;
    case 3:
      if (at < input.size()) input.erase(at, 1 + dice.below(16));
      break;
    case 4:
      if (!words.empty()) input.insert(at, words[dice.below(words.size())]);
      break;
    case 5:  // a word in the place of what stands there
      if (!words.empty()) {
        const auto& word = words[dice.below(words.size())];
        input.replace(at, std::min(word.size(), input.size() - at), word);
      }
      break;
    case 6:  // a piece of another input
      input.insert(at, some(corpus[dice.below(corpus.size())]));
      break;
    default:  // one piece again and again
      if (!input.empty()) {
        const auto piece = some(input);
        for (auto times = 1 + dice.below(40); times > 0; --times) input.insert(at, piece);
      }
  }
  if (input.size() > kLongest) input.resize(kLongest);
}

/// The input in hand, in a file that is there whatever ends the program.
class Keeper {
 public:
  explicit Keeper(fs::path path) : path_(std::move(path)), file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (file_ < 0) complain("cannot write " + path_.string());
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() {
    ::close(file_);
    fs::remove(path_);
  }
  void keep(const std::string& input) const {
    if (::pwrite(file_, input.data(), input.size(), 0) != static_cast<ssize_t>(input.size()) ||
        ::ftruncate(file_, static_cast<off_t>(input.size())) != 0)
      complain("cannot write " + path_.string());
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int file_;
};

void run(const std::string& input) {
  // A copy of exactly this size: a sanitizer sees the first byte read behind it.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t runs = 0, seed = 1;
  double seconds = 0;
  std::vector<std::string> words;
  std::vector<fs::path> paths;
  fs::path keep = ".";
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (!option.starts_with("--")) {
      paths.emplace_back(option);
      continue;
    }
    if (++i == argc) complain(option + " needs a value");
    if (option == "--runs")
      runs = std::stoull(argv[i]);
    else if (option == "--seconds")
      seconds = std::stod(argv[i]);
    else if (option == "--seed")
      seed = std::stoull(argv[i]);
    else if (option == "--dict")
      words = words_of(content_of(argv[i]));
    else if (option == "--keep")
      keep = argv[i];
    else
      complain("unknown option " + option);
  }
  const auto corpus = inputs_of(paths);
  if (corpus.empty()) complain("no input: name files or folders");
  const auto program = fs::path(argv[0]);
  const Keeper keeper(keep / (program.filename().string() + ".input"));
  std::printf("%s: %zu inputs, then %llu mutations of seed %llu; if this ends early, replay %s %s\n", program.filename().c_str(),
              corpus.size(), static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed), program.c_str(),
              keeper.path().c_str());
  std::fflush(stdout);

  for (const auto& input : corpus) {
    keeper.keep(input);
    run(input);
  }
  Dice dice(seed);
  const auto end = seconds > 0 ? Steady::now() + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(seconds))
                               : Steady::time_point::max();
  std::uint64_t done = 0;
  for (; done < runs && Steady::now() < end; ++done) {
    auto input = corpus[dice.below(corpus.size())];
    for (auto times = 1 + dice.below(6); times > 0; --times) mutate(input, dice, corpus, words);
    keeper.keep(input);
    run(input);
  }
  std::printf("%llu mutations, nothing broken\n", static_cast<unsigned long long>(done));
  return 0;
}
