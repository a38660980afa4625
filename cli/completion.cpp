#include "cli/completion.hpp"

#include <CLI/CLI.hpp>

#include "cli/session.hpp"

namespace rosterd::cli {
namespace {

struct Word {
  std::string text, what;
};
/// One command of the tree: its path ("runs show"), what may follow, and which of its options take a file or some other value.
struct Node {
  std::string path;
  std::vector<Word> commands, options;
  std::vector<std::string> file_options, value_options;
};

bool takes_a_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

void collect_options(const CLI::App& app, Node& node) {
  for (const auto* option : app.get_options()) {
    if (option == app.get_help_ptr() &&
        std::any_of(node.options.begin(), node.options.end(), [](const Word& word) { return word.text == "--help"; }))
      continue;
    for (const auto& name : option->get_lnames()) {
      // A flag with a negative form is written "--wait,!--no-wait"; both names come along here.
      node.options.push_back({"--" + name, option->get_description()});
      if (!takes_a_value(*option)) continue;
      (option->get_type_name() == "FILE" ? node.file_options : node.value_options).push_back("--" + name);
    }
    for (const auto& name : option->get_snames()) {
      if (!takes_a_value(*option)) continue;
      (option->get_type_name() == "FILE" ? node.file_options : node.value_options).push_back("-" + name);
    }
  }
}

void collect(const CLI::App& app, const CLI::App& root, const std::string& path, std::vector<Node>& out) {
  Node node{.path = path, .commands = {}, .options = {}, .file_options = {}, .value_options = {}};
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    node.commands.push_back({command->get_name(), command->get_description()});
  collect_options(app, node);
  if (&app != &root) collect_options(root, node);  // the options before the command are taken behind it, too
  out.push_back(std::move(node));
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
    collect(*command, root, path.empty() ? command->get_name() : path + " " + command->get_name(), out);
}

std::vector<Node> nodes_of(const CLI::App& root) {
  std::vector<Node> out;
  collect(root, root, "", out);
  return out;
}

std::string words(const std::vector<std::string>& list, std::string_view between) {
  std::string out;
  for (const auto& word : list) out += (out.empty() ? "" : std::string(between)) + word;
  return out;
}

/// Inside single quotes of a shell.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

/// zsh's _describe splits at the first colon that is not escaped.
std::string described(const Word& word) {
  std::string name;
  for (const char c : word.text) name += c == ':' ? "\\:" : std::string(1, c);
  return shell_quoted(name + ":" + word.what);
}

std::string pattern(const std::vector<std::string>& list) { return list.empty() ? "''" : words(list, "|"); }

}  // namespace

std::string bash_completion(const CLI::App& root) {
  std::string facts, known;
  for (const auto& node : nodes_of(root)) {
    std::vector<std::string> commands, options;
    for (const auto& word : node.commands) commands.push_back(word.text);
    for (const auto& word : node.options) options.push_back(word.text);
    facts += fmt::format("    {})\n      commands={} options={}\n      case $previous in {}) files=1 ;; {}) value=1 ;; esac ;;\n",
                         shell_quoted(node.path), shell_quoted(words(commands, " ")), shell_quoted(words(options, " ")),
                         pattern(node.file_options), pattern(node.value_options));
    if (!node.path.empty()) known += (known.empty() ? "" : "|") + shell_quoted(node.path);
  }
  return fmt::format(R"(# bash completion for rosterctl, made by 'rosterctl completion bash'. Install it with
#   rosterctl completion bash > /etc/bash_completion.d/rosterctl
_rosterctl() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} path='' word tried
  local commands='' options='' files='' value=''
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    tried=${{path:+$path }}$word
    case $tried in {}) path=$tried ;; esac
  done
  COMPREPLY=()
  case $path in
{}  esac
  if [[ $files ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames 2>/dev/null || true; return; fi
  if [[ $value ]]; then return; fi
  if [[ $current == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ $commands ]]; then mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  fi
}}
complete -F _rosterctl rosterctl
)",
                     known, facts);
}

std::string zsh_completion(const CLI::App& root) {
  std::string facts, known;
  for (const auto& node : nodes_of(root)) {
    std::string commands, options;
    for (const auto& word : node.commands) commands += (commands.empty() ? "" : " ") + described(word);
    for (const auto& word : node.options) options += (options.empty() ? "" : " ") + described(word);
    facts += fmt::format("    {})\n      commands=({}) options=({})\n      case $previous in {}) files=1 ;; {}) value=1 ;; esac ;;\n",
                         shell_quoted(node.path), commands, options, pattern(node.file_options), pattern(node.value_options));
    if (!node.path.empty()) known += (known.empty() ? "" : "|") + shell_quoted(node.path);
  }
  return fmt::format(R"(#compdef rosterctl
# zsh completion for rosterctl, made by 'rosterctl completion zsh'. Install it with
#   rosterctl completion zsh > "${{fpath[1]}}/_rosterctl"
_rosterctl() {{
  local current=$words[CURRENT] previous=$words[CURRENT-1] place='' word tried files='' value=''
  local -a commands options
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    tried=${{place:+$place }}$word
    case $tried in {}) place=$tried ;; esac
  done
  case $place in
{}  esac
  if [[ -n $files ]]; then _files; return; fi
  if [[ -n $value ]]; then return; fi
  if [[ $current == -* ]]; then _describe -o option options
  elif (( $#commands )); then _describe command commands
  fi
}}
_rosterctl "$@"
)",
                     known, facts);
}

void add_completion(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  auto* const root = &commands.app;
  auto* completion = commands.app.add_subcommand("completion", "Print the completion script for a shell");
  completion->require_subcommand(1);
  const auto add = [&](const char* shell, std::string (*script)(const CLI::App&)) {
    completion->add_subcommand(shell, fmt::format("Completion for {}", shell))->callback([=] {
      *choice = [=]() -> Try<int> {
        session->print(script(*root));
        return kOk;
      };
    });
  };
  add("bash", bash_completion);
  add("zsh", zsh_completion);
}

}  // namespace rosterd::cli
