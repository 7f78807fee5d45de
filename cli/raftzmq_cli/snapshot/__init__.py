"""`raftzmq snapshot`: backups, without a cluster."""
