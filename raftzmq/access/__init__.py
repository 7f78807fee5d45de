"""Who may do what: users and their keys, and the rights that these have. No sockets."""
