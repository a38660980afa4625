#include "rbac/tables.hpp"

#include <algorithm>
#include <cstring>

namespace rosterd::rbac {
namespace {

constexpr std::size_t kHead = 2 * sizeof(std::uint32_t);  // index, state; then each text behind its length

/// LEB128: one byte for a text below 128, which nearly every name is.
void append_length(Array<char>& out, std::size_t length) {
  for (; length >= 128; length >>= 7) out.push_back(static_cast<char>(length | 128));
  out.push_back(static_cast<char>(length));
}

std::string_view take_text(const char*& at) {
  std::size_t length = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*at++);
    length |= static_cast<std::size_t>(byte & 127) << shift;
    if (byte < 128) break;
  }
  const std::string_view out(at, length);
  at += length;
  return out;
}

}  // namespace

void ProbeTable::make(std::size_t keys) {
  const auto capacity = keys + keys / 4 + 2;
  tags_.reserve(capacity);
  tags_.assign(capacity, 0);
  values_.reserve(capacity);
  values_.assign(capacity, 0);
}

std::uint32_t Tables::append(std::uint32_t state, std::string_view key, std::string_view second) {
  const auto offset = static_cast<std::uint32_t>(texts.size());
  char* head = texts.extend(kHead);
  std::memset(head, 0, sizeof(std::uint32_t));
  std::memcpy(head + sizeof(std::uint32_t), &state, sizeof state);
  for (const auto text : {key, second}) {
    append_length(texts, text.size());
    std::copy(text.begin(), text.end(), texts.extend(text.size()));
  }
  return offset;
}

Record Tables::record_at(std::uint32_t offset) const noexcept {
  Record out;
  const char* at = texts.data() + offset;
  std::memcpy(&out.index, at, sizeof out.index);
  std::memcpy(&out.state, at + sizeof out.index, sizeof out.state);
  at += kHead;
  out.key = take_text(at);
  out.second = take_text(at);
  return out;
}

std::uint32_t Tables::state_at(std::uint32_t offset) const noexcept {
  std::uint32_t out;
  std::memcpy(&out, texts.data() + offset + sizeof out, sizeof out);
  return out;
}

void Tables::set_index(std::uint32_t offset, std::uint32_t number) { std::memcpy(texts.data() + offset, &number, sizeof number); }
void Tables::set_state(std::uint32_t offset, std::uint32_t state) { std::memcpy(texts.data() + offset + sizeof state, &state, sizeof state); }

std::uint64_t Tables::hash_of(std::uint64_t id) const noexcept {
  // Ids are numbers rosterd hands out itself; nobody can choose them, so mixing is enough (the finaliser of SplitMix64).
  auto x = id ^ id_seed;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::optional<std::uint32_t> Tables::number_of(PrincipalId id) const noexcept {
  const auto* number = by_id.find(hash_of(id.value), [&](std::uint32_t candidate) { return ids[candidate] == id.value; });
  return number == nullptr ? std::nullopt : std::optional(*number);
}

Subject Tables::find(PrincipalType type, PrincipalId id) const noexcept {
  const auto number = number_of(id);
  if (!number) return {};
  const auto held = state(*number);
  if (type_of(held) != type) return {};
  return {.kind = Subject::Found, .index = *number, .state = held};
}

Subject Tables::find(PrincipalType type, std::string_view folded, std::uint64_t hash) const noexcept {
  if (folded.empty()) return {};
  Record held;
  const auto* value = by_key.find(hash, [&](std::uint32_t candidate) {
    held = record_at(candidate & kRecordBits);
    return type_of(held.state) == type && ((candidate & kSecond) == 0 ? held.key : held.second) == folded;
  });
  if (value == nullptr) return {};
  if ((*value & kAmbiguous) != 0) return {.kind = Subject::Ambiguous};
  return {.kind = Subject::Found, .index = held.index, .state = held.state};
}

void Tables::index_keys(std::size_t keys) {
  by_key.make(keys);
  const auto add = [&](std::uint32_t entry, const Record& record, std::string_view key) {
    if (key.empty()) return;
    const auto type = type_of(record.state);
    const auto [value, fresh] = by_key.insert(hash_of(type, key), entry, [&](std::uint32_t candidate) {
      const auto held = record_at(candidate & kRecordBits);
      return type_of(held.state) == type && ((candidate & kSecond) == 0 ? held.key : held.second) == key;
    });
    // Active principals stand before suspended ones; two active ones are ambiguous, whoever else has the key.
    const bool same = ((*value ^ entry) & kRecordBits) == 0;
    if (fresh || same || (record.state & kActive) == 0 || (*value & kAmbiguous) != 0) return;
    if ((state_at(*value & kRecordBits) & kActive) == 0)
      *value = entry;
    else
      *value |= kAmbiguous;
  };
  for (const auto offset : records) {
    const auto record = record_at(offset);
    add(offset, record, record.key);
    if (type_of(record.state) == PrincipalType::User) add(offset | kSecond, record, record.second);
  }
}

std::span<const BindingRow> Tables::bindings_of(std::uint32_t number) const noexcept {
  const auto first = std::lower_bound(bindings.begin(), bindings.end(), number, [](const BindingRow& b, std::uint32_t n) { return b.principal < n; });
  auto last = first;
  while (last != bindings.end() && last->principal == number) ++last;
  return {first, last};
}

std::uint64_t Tables::bytes() const {
  std::uint64_t total = sizeof(CompiledSnapshot) + ids.bytes() + records.bytes() + texts.bytes() + by_id.bytes() + by_key.bytes() + parent_rows.bytes() +
                        parents.bytes() + bindings.bytes() + extras.bytes() + namespaces.bytes() + masks.bytes() + profiles.bytes() + validities.bytes() +
                        roles.capacity() * sizeof(RoleRow) + permission_masks.capacity() * sizeof(PairMask);
  for (const auto& role : roles) total += role.name.capacity() > 15 ? role.name.capacity() + 1 : 0;  // longer ones are apart
  return total;
}

std::uint64_t Tables::content_hash() const {
  // A chain over blocks of the rows in their canonical order; seeds, numbers of bytes and the order of arrival are not part of it.
  std::string block;
  Hash128 chain;
  const auto put = [&](auto value) { block.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto put_text = [&](std::string_view text) {
    put(static_cast<std::uint64_t>(text.size()));
    block += text;
  };
  const auto close = [&](std::size_t at_least) {
    if (block.size() < at_least) return;
    put(chain.high);
    put(chain.low);
    chain = digest128(block);
    block.clear();
  };
  put(enabled);
  put(users);
  put(groups);
  put(service_accounts);
  for (std::uint32_t number = 0; number < size(); ++number) {
    const auto held = record(number);
    put(ids[number]);
    put(held.state & ~kProfileBits);
    put_text(held.key);
    put_text(held.second);
    put(static_cast<std::uint64_t>(groups_of(number).size()));
    for (const auto parent : groups_of(number)) put(parent);
    close(1 << 16);
  }
  for (const auto& role : roles) {
    put(role.id.value);
    put_text(role.name);
    put(role.admin);
    for (const auto word : masks[role.mask]) put(word);
    close(1 << 16);
  }
  for (const auto& binding : bindings) {
    const auto& extra = extras[binding.extra];
    put(binding.id.value);
    put(binding.principal);
    put(roles[binding.role].id.value);
    put_text(binding.node == 0 ? std::string_view{} : namespaces.text(binding.node));
    put(extra.expires);
    put(extra.source.value);
    close(1 << 16);
  }
  close(1);
  return chain.high;
}

}  // namespace rosterd::rbac
