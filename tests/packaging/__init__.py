"""What `pip install raftzmq` brings, and beside which versions of other packages it works."""
