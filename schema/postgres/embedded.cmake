# The embedded PostgreSQL is a room of its own: it needs the server's programs at run time and nothing of the store.
rosterd_room(embedded
  SOURCES postgres/embedded.cpp postgres/embedded_files.cpp postgres/embedded_supervisor.cpp postgres/child_process.cpp
  KNOWS rosterd::core rosterd::line
  USES PkgConfig::PQ)
