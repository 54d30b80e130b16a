"""The ingest server: mutual TLS, IEEE 2030.5 resources, and a durable landing of everything that meters post."""
