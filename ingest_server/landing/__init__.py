"""The landing store: raw messages, durable before they are acknowledged."""
