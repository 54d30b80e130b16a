"""GridTokenX Pipeline: metered energy to settled trades, certificates and chain receipts."""
