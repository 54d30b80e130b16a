"""XML namespaces: the standard's, its draft's, and those of extensions."""

from __future__ import annotations

SEP = "urn:ieee:std:2030.5:ns"
"""IEEE 2030.5-2018 (schema 2.1.0), the only one of standard resources that is written."""
DRAFT = "http://ieee.org/2030.5"
"""The draft schema 2.0.4, which devices in the field still send; see `draft`."""
CSIP_AUS = "https://csipaus.org/ns"
"""CSIP-AUS 1.2: elements inside standard resources, and the connection point."""
P2P = "urn:gridtokenx:p2p:1"
"""Peer-to-peer trading: resources of their own, never inside standard ones."""
XSI = "http://www.w3.org/2001/XMLSchema-instance"

PREFIXES = {CSIP_AUS: "csipaus"}
"""Prefixes of extension elements inside standard resources. The prefix is the one that CSIP-AUS uses throughout."""
