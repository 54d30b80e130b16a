"""Handlers, one module per function set. Each has `ROUTES`; GET routes answer HEAD too."""
