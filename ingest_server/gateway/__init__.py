"""The gateway: legacy meters post JSON over HTTPS beside the IEEE 2030.5 server, into the same landing store."""
