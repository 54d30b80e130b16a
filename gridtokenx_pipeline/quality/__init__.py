"""Great Expectations suites of the warehouse tables, and how they are run. Imported by checks when they run."""
