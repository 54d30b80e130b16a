"""`gridtokenx devnet`: the local Solana node alone."""

from __future__ import annotations

import typer

from . import options


def devnet(data: options.Data = None, config: options.Config = None, rpc_port: options.RpcPort = 8899) -> None:
    """Run the local Solana node (LiteSVM behind JSON-RPC, durable) until Ctrl-C.

    Example: gridtokenx devnet --rpc-port 8899, then solana -u http://127.0.0.1:8899 slot
    """
    from gridtokenx_pipeline.solana.node.serve import main

    settings = options.settings(data, config)
    raise typer.Exit(main(["--dir", str(settings.solana_dir / "node"), "--port", str(rpc_port)]))
