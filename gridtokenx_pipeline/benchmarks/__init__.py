"""Benchmarks: each module has `run()`, which returns one flat dictionary of figures."""
