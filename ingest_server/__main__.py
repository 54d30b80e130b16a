"""`python -m ingest_server --options FILE|-` runs the server; FILE (or standard input) holds the options as JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .options import ServerOptions
from .supervisor import CannotStart, run


def main() -> int:
    """Run the server; returns 0 after a stop that was asked for, 1 if it could not start, 2 for bad options."""
    parser = argparse.ArgumentParser(prog="python -m ingest_server", description=__doc__)
    parser.add_argument(
        "--options", required=True, help="JSON file with the options of ingest_server.options.ServerOptions, or -"
    )
    source = parser.parse_args().options
    try:
        options = ServerOptions.from_json(sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"options: {error}", file=sys.stderr)
        return 2
    try:
        run(options)
    except CannotStart as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
