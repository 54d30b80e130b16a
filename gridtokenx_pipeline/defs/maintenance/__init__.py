"""Keeping the lake small, and what retention and erasure say."""
