"""What has to exist on chain before settlement: the cluster's configuration, meters, accounts, approvals, money to pay with.

Everything is compared with the chain first and only what is missing is landed, so doing it again changes nothing.
"""

from .cluster import Cluster, ClusterMismatch, SetupNeeded, currency_mint, prepare_cluster, ready_cluster
from .landing import Progress, SetupFailed
from .meters import MeterSetup, Statuses, limits_wh

__all__ = [
    "Cluster",
    "ClusterMismatch",
    "MeterSetup",
    "Progress",
    "SetupFailed",
    "SetupNeeded",
    "Statuses",
    "currency_mint",
    "limits_wh",
    "prepare_cluster",
    "ready_cluster",
]
