"""The warehouse's tables, one contract each. Tools, dashboards and checks rely on these names."""

from . import certificates, core, market, ops, raw, settlement
from .table import Column, ContractViolation, Table, Type

TABLES: tuple[Table, ...] = (*raw.TABLES, *core.TABLES, *market.TABLES, *certificates.TABLES, *settlement.TABLES, *ops.TABLES)

__all__ = ["TABLES", "Column", "ContractViolation", "Table", "Type", "certificates", "core", "market", "ops", "raw", "settlement"]
