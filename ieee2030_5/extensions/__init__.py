"""Resources that IEEE 2030.5 does not define, each module in a namespace of its own."""
