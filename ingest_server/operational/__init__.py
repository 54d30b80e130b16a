"""Operational tables shared by the ingest server and the pipeline."""
