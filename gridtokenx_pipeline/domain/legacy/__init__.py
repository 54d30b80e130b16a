"""Landed messages of the legacy gateway, as the rows that IEEE 2030.5 messages become."""
