"""Messages as frames, and the ZeroMQ sockets they travel by. See DESIGN.md.

Import the modules: peer_wire and client_wire are pure and load no zmq; links and servers hold the
sockets; options sets them.
"""
