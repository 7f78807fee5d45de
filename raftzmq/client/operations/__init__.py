"""What a client asks, purely: a file for each subject."""
