"""raftzmq within frameworks, against three real nodes."""
