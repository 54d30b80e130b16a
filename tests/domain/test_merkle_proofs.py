"""Proofs of all leaves at once, and their text."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_pipeline.domain import merkle


def leaves_of(count: int) -> list[bytes]:
    return [merkle.leaf(str(number).encode()) for number in range(count)]


@given(st.integers(0, 70))
def test_all_proofs_are_the_proofs_one_by_one(count):
    leaves = leaves_of(count)
    assert merkle.proofs(leaves) == [merkle.proof(leaves, index) for index in range(count)]


@given(st.integers(1, 70))
def test_every_text_is_read_back_and_leads_to_the_root(count):
    leaves = leaves_of(count)
    texts = merkle.proof_texts(leaves)
    assert [merkle.parse_proof(text) for text in texts] == merkle.proofs(leaves)
    root = merkle.root(leaves)
    assert all(merkle.verify(leaf, merkle.parse_proof(text), root) for leaf, text in zip(leaves, texts, strict=True))


def test_texts_by_hand():
    a, b, c = leaves_of(3)
    ab = merkle.node(a, b)
    assert merkle.proof_texts([a, b, c]) == [f"R{b.hex()}R{c.hex()}", f"L{a.hex()}R{c.hex()}", f"L{ab.hex()}"]
    assert merkle.proof_texts([a]) == [""]
    assert merkle.parse_proof("") == ()


def test_each_node_is_hashed_once_for_all_proofs(monkeypatch):
    """Or a batch of 10,000 meters would take minutes."""
    hashed = []
    sha256 = hashlib.sha256
    leaves = leaves_of(1000)
    monkeypatch.setattr(merkle.hashlib, "sha256", lambda data: hashed.append(data) or sha256(data))
    merkle.proof_texts(leaves)
    assert len(hashed) == len(set(hashed)) == 999


@pytest.mark.parametrize(
    "text", ["R", "R" + "0" * 63, "R" + "0" * 65, "r" + "0" * 64, "R" + "A" * 64, "R" + "0" * 64 + "X", " R" + "0" * 64]
)
def test_other_texts_are_no_proofs(text):
    with pytest.raises(ValueError, match="not a Merkle proof"):
        merkle.parse_proof(text)
