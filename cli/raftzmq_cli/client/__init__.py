"""`raftzmq client`: commands that talk to a cluster."""
