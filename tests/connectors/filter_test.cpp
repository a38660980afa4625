#include "connectors/ldap/filter.hpp"

#include <gtest/gtest.h>

#include "connectors/ldap/ids.hpp"

namespace rosterd::connectors::ldap {
namespace {

TEST(Filter, TakesWhatRfc4515Allows) {
  for (const std::string_view good : {"(cn=a)",
                                      "(&(a=1)(b=2))",
                                      "(|(a=1))",
                                      "(!(a=1))",
                                      "(a=*)",
                                      "(a=*b*c*)",
                                      "(a>=1)",
                                      "(a<=1)",
                                      "(a~=b)",
                                      "(a=)",
                                      "(a=\\28x\\29)",
                                      "(cn:caseExactMatch:=Fred)",
                                      "(cn:dn:2.5.13.5:=Fred)",
                                      "(:1.2.840.113556.1.4.1941:=x)",
                                      "(o:dn:=Ace)",
                                      "(memberOf:1.2.840.113556.1.4.1941:=cn=g)",
                                      "(&(objectClass=group)(!(isCriticalSystemObject=TRUE)))",
                                      "(cn;lang-de=x)",
                                      "(1.2.3=x)",
                                      "(cn=Zo\xc3\xab)"})
    EXPECT_TRUE(check_filter(good)) << good;
}

TEST(Filter, RefusesWhatIsUnbalancedOrSplices) {
  for (const std::string_view bad : {"",        "cn=a",          "(cn=a",  "(cn=a))",  "(cn=a)(b=1)", "()",     "(&)",     "(|)",
                                     "(!)",     "(!(a=1)(b=1))", "(a=(b)", "(a=\\2)",  "(a=\\zz)",    "(=x)",   "(a b=x)", "(a)",
                                     "(&(a=1)", "(cn=a)x",       "(:=x)",  "(:dn:=x)", "(a::=x)",     " (a=1)", "(a=1) "})
    EXPECT_FALSE(check_filter(bad)) << bad;
  EXPECT_FALSE(check_filter(std::string_view("(a=\0)", 5)));
  EXPECT_FALSE(check_filter(std::string(4000, '(')));
}

TEST(Filter, DemandsWhatEveryEntryItSelectsHas) {
  for (const std::string_view yes : {"(objectClass=user)", "(OBJECTCLASS=User)", "(&(objectCategory=person)(objectClass=user))",
                                     "(&(a=1)(&(b=2)(objectClass=user)))", "(|(&(a=1)(objectClass=user))(objectClass=user))"})
    EXPECT_TRUE(demands(yes, "objectClass", "user")) << yes;
  for (const std::string_view no :
       {"(objectClass=users)", "(objectClass=*)", "(!(objectClass=user))", "(|(objectClass=user)(a=1))", "(&(a=1)(!(objectClass=user)))",
        "(xobjectClass=user)", "(objectClass>=user)", "(a=\\28objectClass=user)"})
    EXPECT_FALSE(demands(no, "objectClass", "user")) << no;
}

TEST(Filter, EscapesValues) {
  EXPECT_EQ(equals("cn", "a*(b)\\"), "(cn=a\\2a\\28b\\29\\5c)");
  EXPECT_EQ(equals("cn", std::string_view("\0x", 2)), "(cn=\\00x)");
  EXPECT_EQ(equals_binary("objectGUID", std::string_view("\x01\xfe", 2)), "(objectGUID=\\01\\fe)");
  EXPECT_EQ(both("(a=1)", "(b=2)"), "(&(a=1)(b=2))");
}

TEST(Ids, AreOneTextWhateverTheServerWrites) {
  std::string id;
  const std::string_view bytes("\x78\x56\x34\x12\xbc\x9a\xf0\xde\x11\x22\x33\x44\x55\x66\x77\x88", 16);
  EXPECT_TRUE(canonical_id(IdEncoding::Raw16Ms, bytes, id));
  EXPECT_EQ(id, "12345678-9abc-def0-1122-334455667788");
  EXPECT_EQ(server_id(IdEncoding::Raw16Ms, id), bytes);
  EXPECT_TRUE(canonical_id(IdEncoding::Raw16Be, bytes, id));
  EXPECT_EQ(id, "78563412-bc9a-f0de-1122-334455667788");
  EXPECT_EQ(server_id(IdEncoding::Raw16Be, id), bytes);
  EXPECT_TRUE(canonical_id(IdEncoding::Text, "ABCDEF01-0000-0000-0000-00000000000F", id));
  EXPECT_EQ(id, "abcdef01-0000-0000-0000-00000000000f");
  EXPECT_TRUE(canonical_id(IdEncoding::Text, "5B1A0F01-11112222-33334444-5555ABCD", id));
  EXPECT_EQ(id, "5b1a0f01-11112222-33334444-5555abcd");
  EXPECT_TRUE(canonical_id(IdEncoding::Text, "Employee-7", id));  // not hexadecimal: its case is its own
  EXPECT_EQ(id, "Employee-7");
  EXPECT_FALSE(canonical_id(IdEncoding::Text, "", id));
  EXPECT_FALSE(canonical_id(IdEncoding::Text, "a\nb", id));
  EXPECT_FALSE(canonical_id(IdEncoding::Text, "\xff\xfe", id));
  EXPECT_FALSE(canonical_id(IdEncoding::Raw16Ms, "short", id));
  EXPECT_FALSE(server_id(IdEncoding::Raw16Ms, "not a uuid").has_value());
}

}  // namespace
}  // namespace rosterd::connectors::ldap
