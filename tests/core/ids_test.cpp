#include <gtest/gtest.h>

#include <limits>
#include <optional>

#include "schema/model/ids.hpp"

namespace rosterd {
namespace {

constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();

TEST(Ids, AreWrittenWithTheirKind) {
  EXPECT_EQ(text(PrincipalType::User, {1}), "usr_0000000000001");
  EXPECT_EQ(text(Principal{PrincipalType::Group, {32}}), "grp_0000000000010");
  EXPECT_EQ(text(PrincipalType::ServiceAccount, {kMost}), "sva_fzzzzzzzzzzzz");
  EXPECT_EQ(text(RunId{31}), "run_000000000000z");
}

TEST(Ids, AreReadBack) {
  for (const std::uint64_t value : {std::uint64_t{1}, std::uint64_t{12345678901234567}, kMost / 2, kMost}) {
    EXPECT_EQ(parse_principal_id(PrincipalType::User, text(PrincipalType::User, {value})), PrincipalId{value});
    EXPECT_EQ(parse_account_id(text(AccountId{value})), AccountId{value});
    EXPECT_EQ(parse_source_id(text(SourceId{value})), SourceId{value});
    EXPECT_EQ(parse_run_id(text(RunId{value})), RunId{value});
    EXPECT_EQ(parse_role_id(text(RoleId{value})), RoleId{value});
    EXPECT_EQ(parse_binding_id(text(BindingId{value})), BindingId{value});
  }
}

TEST(Ids, NoOtherTextIsOne) {
  for (const auto* text : {"", "1001", "usr_", "usr_1", "usr_00000000000001", "USR_0000000000001", "usr_000000000000U", "usr_000000000000l",
                           "grp_0000000000001", "usr_g000000000000", "usr_zzzzzzzzzzzzz", "usr_000000000000 ", " usr_0000000000001"})
    EXPECT_FALSE(parse_principal_id(PrincipalType::User, text)) << text;
}

TEST(PrincipalTypes, HaveNamesThatAreReadBack) {
  for (const auto type : {PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount})
    EXPECT_EQ(parse_principal_type(name_of(type)), type);
  EXPECT_FALSE(parse_principal_type("User"));
  EXPECT_FALSE(parse_principal_type("role"));
}

TEST(Revisions, AreComparedByEpochFirstK2) {
  EXPECT_EQ(text(Revision{7, 1042}), "7.1042");
  EXPECT_EQ(parse_revision("7.1042"), (Revision{7, 1042}));
  EXPECT_LT((Revision{6, 9999}), (Revision{7, 1}));
  EXPECT_LT((Revision{7, 1}), (Revision{7, 2}));
  for (const auto* text : {"", "7", "7.", ".5", "7.x", "7.1 ", "-7.1", "7.-1", "7.1.2", "4294967296.1", "1.18446744073709551616"})
    EXPECT_FALSE(parse_revision(text)) << text;
}

}  // namespace
}  // namespace rosterd
