#include "rbac/tables.hpp"

#include <algorithm>
#include <cstring>

namespace rosterd::rbac {
namespace {

constexpr std::size_t kHead = sizeof(std::uint32_t);  // the rank; then each text behind its length

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

std::uint32_t Tables::append(std::string_view key, std::string_view second, std::uint32_t rank) {
  if (texts.size() % 2 != 0) texts.push_back('\0');
  const auto offset = static_cast<std::uint32_t>(texts.size());
  std::memcpy(texts.extend(kHead), &rank, kHead);
  for (const auto text : {key, second}) {
    append_length(texts, text.size());
    std::copy(text.begin(), text.end(), texts.extend(text.size()));
  }
  return offset;
}

Record Tables::record_at(std::uint32_t offset) const noexcept {
  Record out;
  const char* at = texts.data() + offset;
  std::memcpy(&out.rank, at, kHead);
  at += kHead;
  out.key = take_text(at);
  out.second = take_text(at);
  return out;
}

void Tables::set_rank(std::uint32_t offset, std::uint32_t rank) { std::memcpy(texts.data() + offset, &rank, kHead); }

std::uint64_t Tables::hash_of(std::uint64_t id) const noexcept {
  // Ids are numbers rosterd hands out itself; nobody can choose them, so mixing is enough (the finaliser of SplitMix64).
  auto x = id ^ id_seed;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::optional<std::uint32_t> Tables::number_of(PrincipalId id) const noexcept {
  const auto* place = by_id.find(hash_of(id.value), [&](std::uint32_t candidate) { return ids[number_at(candidate)] == id.value; });
  return place == nullptr ? std::nullopt : std::optional(number_at(*place));
}

Subject Tables::find(PrincipalType type, PrincipalId id) const noexcept {
  const auto number = number_of(id);
  if (!number || type_of(states[*number]) != type) return {};
  return {.kind = Subject::Found, .index = *number, .state = states[*number]};
}

Subject Tables::find(PrincipalType type, std::string_view folded, std::uint64_t hash) const noexcept {
  if (folded.empty()) return {};
  std::uint32_t rank = 0;
  const auto* slot = by_key.find(hash, [&](const KeySlot& candidate) {
    const auto offset = candidate.record();
    prefetch_profile(candidate.state);
    __builtin_prefetch(texts.data() + offset);
    __builtin_prefetch(texts.data() + offset + 64);
    const auto record = record_at(offset);
    rank = record.rank;
    return type_of(candidate.state) == type && ((candidate.entry & KeySlot::kSecond) == 0 ? record.key : record.second) == folded;
  });
  if (slot == nullptr) return {};
  if ((slot->entry & KeySlot::kAmbiguous) != 0) return {.kind = Subject::Ambiguous};
  return {.kind = Subject::Found, .index = first_of(type) + rank, .state = slot->state};
}

void meet(KeySlot& held, const KeySlot& other) {
  if ((held.entry & KeySlot::kAmbiguous) == 0 && (other.state & kActive) != 0) {
    if ((held.state & kActive) == 0)
      held = other;
    else
      held.entry |= KeySlot::kAmbiguous;
  }
  held.entry |= KeySlot::kShared;
}

void Tables::index_keys() {
  std::size_t keys = 0;
  for (std::uint32_t number = 0; number < size(); ++number)
    each_key(std::as_const(records)[number], std::as_const(states)[number], [&](const KeySlot&, std::string_view) { ++keys; });
  by_key.make(keys);
  for (std::uint32_t number = 0; number < size(); ++number)
    each_key(std::as_const(records)[number], std::as_const(states)[number], [&](const KeySlot& slot, std::string_view key) {
      const auto type = type_of(slot.state);
      const auto [held, fresh] =
          by_key.insert(hash_of(type, key), slot, [&](const KeySlot& candidate) { return is_slot_of(candidate, type, key); });
      const bool same = ((held->entry ^ slot.entry) & KeySlot::kRecordBits) == 0;
      if (!fresh && !same) meet(*held, slot);
    });
}

Tables Tables::successor() const {
  Tables out;
  out.revision = revision;
  out.enabled = enabled;
  out.as_of = as_of;
  out.catalogue = catalogue;
  out.permission_masks = permission_masks;
  out.users = users;
  out.groups = groups;
  out.service_accounts = service_accounts;
  out.ids = ids.share();
  out.states = states.share();
  out.records = records.share();
  out.texts = texts.share();
  out.by_id = by_id.share();
  out.by_key = by_key.share();
  out.text_hash = text_hash;
  out.id_seed = id_seed;
  out.parent_rows = parent_rows.share();
  out.parents = parents.share();
  out.roles = roles;
  out.bindings = bindings.share();
  out.extras = extras.share();
  out.namespaces = namespaces;
  out.masks = masks.share();
  out.mask_words = mask_words;
  out.profiles = profiles.share();
  out.validities = validities.share();
  out.profile_count = profile_count;
  out.whole = whole;
  return out;
}

std::span<const BindingRow> Tables::bindings_of(std::uint32_t number) const noexcept {
  const auto first =
      std::lower_bound(bindings.begin(), bindings.end(), number, [](const BindingRow& b, std::uint32_t n) { return b.principal < n; });
  auto last = first;
  while (last != bindings.end() && last->principal == number) ++last;
  return {first, last};
}

std::uint64_t Tables::bytes() const {
  std::uint64_t total = sizeof(CompiledSnapshot) + ids.bytes() + states.bytes() + records.bytes() + texts.bytes() + by_id.bytes() +
                        by_key.bytes() + parent_rows.bytes() + parents.bytes() + bindings.bytes() + extras.bytes() + namespaces.bytes() +
                        masks.bytes() + profiles.bytes() + validities.bytes() + roles.capacity() * sizeof(RoleRow) +
                        permission_masks.capacity() * sizeof(PairMask);
  total += lazy_inverse->bytes();
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
    put(states[number] & ~kProfileBits);
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
