#pragma once
// From the bytes of one whole request to the bytes of its answer: HTTP as the library parses it, then answer(). Internal to this room.

#include <memory>

#include "daemon/http/front.hpp"

namespace rosterd::http {

struct App;

/// `app` is borrowed and outlives it.
[[nodiscard]] std::unique_ptr<Answering> make_listener(App& app);

}  // namespace rosterd::http
