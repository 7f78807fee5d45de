"""`raftzmq views`: the older design, its servers and its client."""
