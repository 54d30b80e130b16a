"""Where the pipeline keeps its tables, and where analysts read them."""

from .lake import Append, ContractDrift, Replace, SetState, Warehouse, WarehouseMissing, Written

__all__ = ["Append", "ContractDrift", "Replace", "SetState", "Warehouse", "WarehouseMissing", "Written"]
