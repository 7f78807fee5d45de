"""Pure Raft: no sockets, files, clock, randomness or logging. See DESIGN.md."""
