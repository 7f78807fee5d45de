"""`raftzmq views compare`: the same failures on both designs."""
