"""`raftzmq local`: a cluster of plain processes on this machine."""
