"""The older design: a primary and a backup, governed by a view server. See DESIGN.md.

Import the modules. view, messages, service, recovery, store, replication, replica and session are
pure: messages and time in, messages out. wire is the messages as bytes. The others hold sockets.
"""
