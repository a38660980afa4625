// When a request is whole, in every way in which bytes can arrive.
#include <gtest/gtest.h>

#include "daemon/http/arrival.hpp"

namespace rosterd::http {
namespace {

using State = Arrival::State;

constexpr ArrivalLimits kLimits{.head = 1000, .body = 500, .line = 200, .header_lines = 10};

State state_of(std::string_view bytes) {
  std::size_t scanned = 0;
  return look(bytes, kLimits, scanned).state;
}

TEST(Arrival, ARequestIsWholeWithItsLastByteHoweverItIsCut) {
  for (const std::string& request : {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
                                     std::string("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
                                     std::string("POST / HTTP/1.1\r\ncONTENT-lENGTH:\t 5 \r\nA: b\r\n\r\nhello")}) {
    std::size_t scanned = 0;
    for (std::size_t size = 0; size < request.size(); ++size)
      EXPECT_EQ(look(std::string_view(request).substr(0, size), kLimits, scanned).state, State::Part) << request.substr(0, size);
    EXPECT_EQ(look(request, kLimits, scanned).state, State::Whole);
    EXPECT_EQ(state_of(request), State::Whole) << "seen at once";
    EXPECT_EQ(state_of(request + "GET /next"), State::Whole);
  }
}

TEST(Arrival, NobodyWaitsForABodyThatWillBeRefused) {
  for (const char* header : {"Content-Length: 501", "Content-Length: -1", "Content-Length: x", "Content-Length:", "Content-Length: 5 5",
                             "Content-Length: 99999999999999999999", "Content-Length: 5\r\nContent-Length: 5", "Transfer-Encoding: chunked",
                             "Transfer-Encoding: chunked\r\nContent-Length: 5"})
    EXPECT_EQ(state_of("POST / HTTP/1.1\r\n" + std::string(header) + "\r\n\r\n"), State::Whole) << header;
  EXPECT_EQ(state_of("POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\n"), State::Part);
}

TEST(Arrival, ABodyIsAskedForOnlyWhileItIsMissing) {
  std::size_t scanned = 0;
  const std::string head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  EXPECT_TRUE(look(head, kLimits, scanned).wants_continue);
  EXPECT_FALSE(look(head + "hello", kLimits, scanned).wants_continue);
  std::size_t other = 0;
  EXPECT_FALSE(look("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n", kLimits, other).wants_continue);
}

TEST(Arrival, LongHeadsAreRefusedWithoutTheirEnd) {
  EXPECT_EQ(state_of("GET /" + std::string(1000, 'a')), State::UriTooLong);
  EXPECT_EQ(state_of("GET /" + std::string(1000, 'a') + " HTTP/1.1\r\n\r\n"), State::UriTooLong);
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\nA: " + std::string(1000, 'a')), State::HeadersTooLarge);
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\nA: " + std::string(300, 'a') + "\r\n\r\n"), State::HeadersTooLarge) << "one long line";
  std::string lines = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 10; ++i) lines += "A: b\r\n";
  EXPECT_EQ(state_of(lines + "\r\n"), State::Whole);
  EXPECT_EQ(state_of(lines + "A: b\r\n\r\n"), State::HeadersTooLarge) << "many short lines";
}

TEST(Arrival, OnlyAnEmptyLineEndsTheHead) {
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\nHost: x\n\n"), State::Part);
  EXPECT_EQ(state_of("GET / HTTP/1.1\r\n\rHost: x\r\n"), State::Part);
  EXPECT_EQ(state_of("GET / HTTP/1.1\nHost: x\n\r\n"), State::Whole);
}

}  // namespace
}  // namespace rosterd::http
