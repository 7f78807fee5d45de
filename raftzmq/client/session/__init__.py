"""The conversation with a cluster, purely: no sockets, clock or threads. See session.py."""
