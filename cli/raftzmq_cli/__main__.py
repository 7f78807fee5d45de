"""`python -m raftzmq_cli` is the program `raftzmq`."""

from raftzmq_cli.main import main

if __name__ == "__main__":
    main()
