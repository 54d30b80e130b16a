"""The Dagster definitions: one folder a stage. Thin: read, call a pure function, write, attach metadata."""
