"""The command line program `raftzmq`."""
