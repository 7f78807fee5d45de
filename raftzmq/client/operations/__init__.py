"""What a client asks, purely: arguments checked and encoded, answers decoded."""
