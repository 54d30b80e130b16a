"""A local Solana node: LiteSVM behind the JSON-RPC of a real node, with a ledger that survives kill -9."""
