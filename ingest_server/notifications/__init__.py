"""Notifications: what changed is told to those who subscribed to it (IEEE 2030.5-2018, 8.6)."""
