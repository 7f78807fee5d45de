"""Builds of two versions: what they share, and one cluster of both."""
