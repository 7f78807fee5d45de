"""The tables that the replicated state consists of. They know no commands."""
