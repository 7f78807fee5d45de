"""`raftzmq client top`: samples of a cluster, what they say, and how it is shown."""
