"""What works on data directories and files of nodes without a running node."""
