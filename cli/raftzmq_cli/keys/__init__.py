"""`raftzmq keys`: who is let in, and who may do what."""
