"""The rules, as pure functions on Polars frames: no I/O, no clock, no configuration of its own."""
