"""Settlement on Solana: keys, outbox, profiles, the sender, and a durable local node to run it against."""
