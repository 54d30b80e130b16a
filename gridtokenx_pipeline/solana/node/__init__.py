"""A local Solana node: LiteSVM behind the JSON-RPC of a real node, the programs in it, with a ledger that survives kill -9."""
