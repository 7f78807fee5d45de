"""`raftzmq doctor` and `raftzmq client doctor`: facts, the rules over them, how both are told."""
