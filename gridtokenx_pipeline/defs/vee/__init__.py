"""Validation of intervals, estimation and editing, by event hour."""
