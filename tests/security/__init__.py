"""What strangers at the ports of a node do, on raw sockets, and what must not come of it."""
