"""What the campus tells its devices, as IEEE 2030.5 resources: programs, events, prices, messages. A store keeps them."""
