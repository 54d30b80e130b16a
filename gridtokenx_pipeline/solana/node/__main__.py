"""Entry point of `python -m gridtokenx_pipeline.solana.node`."""

from __future__ import annotations

import sys

from .serve import main

sys.exit(main())
