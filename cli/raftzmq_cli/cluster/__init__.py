"""`raftzmq cluster`: a cluster on Kubernetes."""
