"""Values at the edges of their types, and random types with random values."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idl_documents import document, idl_named, small
from solders.pubkey import Pubkey
from solders.token.state import Mint

from gridtokenx_pipeline.solana.idl import Coder, DecodeError, EncodeError, IdlError, parse_idl


def encoded(type_: Any, value: Any, types: list[Any] | None = None) -> bytes:
    return Coder(small(type_, types=types)).encode_instruction("go", {"a": value})[1:]


def refused(type_: Any, value: Any, types: list[Any] | None = None) -> str:
    with pytest.raises(EncodeError) as caught:
        encoded(type_, value, types)
    return str(caught.value)


@pytest.mark.parametrize("bits", [8, 16, 32, 64, 128, 256])
def test_integers_end_where_their_type_ends(bits: int) -> None:
    for name, low, high in ((f"u{bits}", 0, 2**bits - 1), (f"i{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)):
        for value in (low, high):
            assert int.from_bytes(encoded(name, value), "little", signed=low < 0) == value
            assert len(encoded(name, value)) == bits // 8
        for value in (low - 1, high + 1):
            article = "an" if name[0] == "i" else "a"
            assert refused(name, value).endswith(f"is not {article} {name}")


@pytest.mark.parametrize(
    ("type_", "value", "error"),
    [
        ("u8", True, "args.a: True is not a u8"),
        ("u64", 1.0, "args.a: 1.0 is not a u64"),
        ("u64", "1", "args.a: '1' is not a u64"),
        ("bool", 1, "args.a: 1 is not a bool"),
        ("f64", float("nan"), "args.a: NaN has no borsh form"),
        ("f32", 1e39, "args.a: 1e+39 is not an f32"),
        pytest.param("f64", 10**400, "args.a: 1000", id="f64-too-large"),
        ("f64", False, "args.a: False is not an f64"),
        ("string", b"x", "args.a: b'x' is not a string"),
        ("string", "\ud800", "args.a: '\\ud800' has no UTF-8 form"),
        ("bytes", "00", "args.a: '00' is not bytes"),
        ("pubkey", "0OIl", "args.a: '0OIl' is not the base58 text of 32 bytes"),
        ("pubkey", b"1" * 32, "args.a: b'1"),
        ({"vec": "u8"}, "abc", "args.a: 'abc' is not a sequence"),
        ({"vec": "u8"}, [1, 256], "args.a[1]: 256 is not a u8"),
        ({"vec": {"vec": "i8"}}, [[], [0, -129]], "args.a[1][1]: -129 is not an i8"),
        ({"array": ["u8", 2]}, b"123", "args.a: 2 items are wanted, not 3"),
        ({"option": "u8"}, 256, "args.a: 256 is not a u8"),
        ({"option": {"array": ["u16", 1]}}, [-1], "args.a[0]: -1 is not a u16"),
    ],
)
def test_values_of_another_kind_are_refused(type_: Any, value: Any, error: str) -> None:
    assert refused(type_, value).startswith(error)


def test_arguments_must_be_those_of_the_instruction() -> None:
    coder = Coder(small("u8", "u8"))
    for given_, error in (
        ({"a": 1}, "args: missing argument b"),
        ({"a": 1, "b": 2, "c": 3}, "args: unknown argument c"),
        ({"a": 1, "B": 2}, "args: missing argument b; unknown argument B"),
        ([1, 2], "args: [1, 2] is not a mapping of arguments"),
    ):
        with pytest.raises(EncodeError) as caught:
            coder.encode_instruction("go", given_)  # type: ignore[arg-type]
        assert str(caught.value) == error
    with pytest.raises(EncodeError, match="small has no instruction stay"):
        coder.encode_instruction("stay", {})


def test_a_unit_variant_is_its_name_or_anchors_mapping() -> None:
    kind = [{"name": "Kind", "type": {"kind": "enum", "variants": [{"name": "On"}, {"name": "Off"}]}}]
    assert (
        encoded({"defined": {"name": "Kind"}}, "Off", kind) == encoded({"defined": {"name": "Kind"}}, {"Off": {}}, kind) == b"\1"
    )
    assert refused({"defined": {"name": "Kind"}}, "off", kind) == "args.a: 'off' is none of On, Off"
    assert refused({"defined": {"name": "Kind"}}, {"Off": {"x": 1}}, kind) == "args.a: Off has no fields"
    assert refused({"defined": {"name": "Kind"}}, {"On": {}, "Off": {}}, kind).startswith("args.a: {'On'")


def test_a_coption_is_as_wide_with_a_value_as_without() -> None:
    """The oracle is SPL token's own `Mint`, whose authorities are coptions."""
    fields = [("mint_authority", {"coption": "pubkey"}), ("supply", "u64"), ("decimals", "u8")]
    fields += [("is_initialized", "bool"), ("freeze_authority", {"coption": "pubkey"})]
    mint = {"name": "Mint", "type": {"kind": "struct", "fields": [{"name": name, "type": type_} for name, type_ in fields]}}
    coder = Coder(small({"defined": {"name": "Mint"}}, types=[mint]))
    key = Pubkey.from_bytes(bytes(range(32)))
    for mint_authority, freeze_authority in ((key, None), (None, key), (None, None), (key, key)):
        truth = bytes(Mint(mint_authority, 2**40, 9, True, freeze_authority))
        content = {
            "mint_authority": mint_authority,
            "supply": 2**40,
            "decimals": 9,
            "is_initialized": True,
            "freeze_authority": freeze_authority,
        }
        assert coder.encode_instruction("go", {"a": content}) == b"\1" + truth
        assert coder.decode_instruction(b"\1" + truth) == ("go", {"a": content})
    with pytest.raises(IdlError, match="size is not fixed"):
        encoded({"coption": "string"}, None)


@pytest.mark.parametrize(
    ("type_", "data", "error"),
    [
        ("bool", "02", "go.args.a: the byte 2 is not a bool"),
        ("u32", "010203", "go.args.a: 4 bytes are wanted at 1, 3 are left"),
        ("string", "02000000ff41", "go.args.a: not UTF-8 at byte 0"),
        ({"option": "u8"}, "0201", "go.args.a: an option starts with 0 or 1, not 2"),
        ({"coption": "u8"}, "0200000001", "go.args.a: a coption starts with 0 or 1, not 2"),
        ({"vec": "u64"}, "ffffffff00", "go.args.a: 4294967295 items of 8 bytes or more, 1 bytes are left"),
        ({"vec": "bool"}, "020000000103", "go.args.a[1]: the byte 3 is not a bool"),
        ("bytes", "ffffffff00", "go.args.a: 4294967295 bytes are wanted at 5, 1 are left"),
        ("f32", "0000c07f", "go.args.a: NaN has no borsh form"),
        ("u8", "0102", "go.args: 1 bytes too many"),
    ],
)
def test_bytes_of_another_kind_are_refused(type_: Any, data: str, error: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Coder(small(type_)).decode_instruction(b"\1" + bytes.fromhex(data))
    assert str(caught.value) == error


def test_types_without_a_borsh_form_are_refused_only_when_used() -> None:
    types = [
        {"name": "Raw", "serialization": "bytemuck", "repr": {"kind": "c"}, "type": {"kind": "struct"}},
        {"name": "Odd", "serialization": {"custom": "packet"}, "type": {"kind": "struct"}},
        {"name": "Loop", "type": {"kind": "struct", "fields": [{"name": "me", "type": {"defined": {"name": "Loop"}}}]}},
        {"name": "Empty", "type": {"kind": "struct"}},
    ]
    assert encoded("u8", 1, types) == b"\1"
    for type_, error in (
        ({"defined": {"name": "Raw"}}, "Raw is serialised by bytemuck"),
        ({"defined": {"name": "Odd"}}, "Odd is serialised by custom: packet"),
        ({"defined": {"name": "Loop"}}, "Loop contains itself"),
        ({"vec": {"defined": {"name": "Empty"}}}, "takes no bytes"),
        ({"option": {"option": "u8"}}, "two kinds of nothing"),
    ):
        with pytest.raises(IdlError, match=error):
            encoded(type_, None, types)


def test_an_enum_ends_with_its_last_variant() -> None:
    kind = [{"name": "Kind", "type": {"kind": "enum", "variants": [{"name": "On"}, {"name": "Off", "fields": ["u8"]}]}}]
    coder = Coder(small({"vec": {"defined": {"name": "Kind"}}}, types=kind))
    assert coder.decode_instruction(bytes.fromhex("01020000000001ff")) == ("go", {"a": ["On", {"Off": (255,)}]})
    with pytest.raises(DecodeError, match=r"go\.args\.a\[1\]: 2 is no variant, there are 2"):
        coder.decode_instruction(bytes.fromhex("01020000000002"))
    with pytest.raises(DecodeError, match="3 items of 1 bytes or more, 2 bytes are left"):
        coder.decode_instruction(bytes.fromhex("01030000000000"))


def test_a_generic_that_grows_without_end_is_refused() -> None:
    more = {"defined": {"name": "Grow", "generics": [{"kind": "type", "type": {"vec": {"generic": "T"}}}]}}
    types = [
        {
            "name": "Grow",
            "generics": [{"kind": "type", "name": "T"}],
            "type": {"kind": "struct", "fields": [{"name": "more", "type": {"vec": more}}]},
        }
    ]
    use = {"defined": {"name": "Grow", "generics": [{"kind": "type", "type": "u8"}]}}
    with pytest.raises(IdlError, match="Grow is nested more than 64 deep"):
        encoded(use, {"more": []}, types)


def test_a_value_nested_without_end_is_refused() -> None:
    coder = Coder(idl_named("everything"))
    root: dict[str, Any] = {"value": 1, "children": []}
    for _ in range(100_000):
        root = {"value": 1, "children": [root]}
    with pytest.raises(EncodeError, match="nested too deeply"):
        coder.encode_instruction("tree", {"root": root})
    with pytest.raises(DecodeError, match="nested too deeply"):
        coder.decode_instruction(b"\x08\x07" + b"\x01\x01\x00\x00\x00" * 100_000)
    while root["children"]:
        # Freed from the top, or the interpreter would free it by as deep a recursion.
        root = root["children"].pop()


def test_const_parameters_are_handed_on() -> None:
    types = [
        {
            "name": "Outer",
            "generics": [{"kind": "const", "name": "N", "type": "usize"}, {"kind": "type", "name": "T"}],
            "type": {
                "kind": "struct",
                "fields": [
                    {
                        "name": "inner",
                        "type": {
                            "defined": {
                                "name": "Inner",
                                "generics": [
                                    {"kind": "type", "type": {"generic": "T"}},
                                    {"kind": "type", "type": {"generic": "N"}},
                                ],
                            }
                        },
                    }
                ],
            },
        },
        {
            "name": "Inner",
            "generics": [{"kind": "type", "name": "U"}, {"kind": "const", "name": "M", "type": "usize"}],
            "type": {"kind": "type", "alias": {"array": [{"option": {"generic": "U"}}, {"generic": "M"}]}},
        },
    ]
    use = {"defined": {"name": "Outer", "generics": [{"kind": "const", "value": "3"}, {"kind": "type", "type": "u16"}]}}
    assert encoded(use, {"inner": [1, None, 2]}, types) == bytes.fromhex("01010000010200")


PRIMITIVE_VALUES = {
    "bool": st.booleans(),
    "u8": st.integers(0, 255),
    "i16": st.integers(-(2**15), 2**15 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "i128": st.integers(-(2**127), 2**127 - 1),
    "u256": st.integers(0, 2**256 - 1),
    "f64": st.floats(allow_nan=False),
    "string": st.text(st.characters(codec="utf-8")),
    "bytes": st.binary(),
    "pubkey": st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes),
}


def typed(depth: int) -> st.SearchStrategy[tuple[Any, Any]]:
    """Pairs of a type and a strategy of its values, with structs and enums written as new definitions."""
    leaf = st.sampled_from(sorted(PRIMITIVE_VALUES)).map(lambda name: (name, PRIMITIVE_VALUES[name]))
    if depth == 0:
        return leaf
    inner = typed(depth - 1)

    def wrap(pair: tuple[Any, Any]) -> st.SearchStrategy[tuple[Any, Any]]:
        type_, values = pair
        options = [({"option": type_}, st.none() | values)] if not (isinstance(type_, dict) and "option" in type_) else []
        if type_ == "u8":
            return st.sampled_from(
                [*options, ({"vec": "u8"}, st.binary()), ({"array": ["u8", 3]}, st.binary(min_size=3, max_size=3))]
            )
        return st.sampled_from(
            [
                *options,
                ({"vec": type_}, st.lists(values, max_size=3)),
                ({"array": [type_, 2]}, st.lists(values, min_size=2, max_size=2)),
            ]
        )

    return leaf | inner.flatmap(wrap)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_written_reads_back_and_nothing_shorter_does(data: st.DataObject) -> None:
    pairs = data.draw(st.lists(typed(3), min_size=1, max_size=4))
    fields = [{"name": f"f{number}", "type": type_} for number, (type_, _) in enumerate(pairs)]
    types = [
        {"name": "S", "type": {"kind": "struct", "fields": fields}},
        {"name": "T", "type": {"kind": "struct", "fields": [type_ for type_, _ in pairs]}},
        {"name": "E", "type": {"kind": "enum", "variants": [{"name": "None"}, {"name": "Some", "fields": fields}]}},
    ]
    coder = Coder(small(*({"defined": {"name": name}} for name in "STE"), types=types))
    values = [data.draw(strategy) for _, strategy in pairs]
    by_name = {f"f{number}": value for number, value in enumerate(values)}
    args = {"a": by_name, "b": tuple(values), "c": {"Some": by_name}}
    written = coder.encode_instruction("go", args)
    assert coder.decode_instruction(written) == ("go", args)
    with pytest.raises(DecodeError):
        coder.decode_instruction(written[: data.draw(st.integers(1, len(written) - 1))])
    with pytest.raises(DecodeError, match="too many"):
        coder.decode_instruction(written + b"\0")


C_TYPES = {
    "u8": ctypes.c_uint8,
    "i16": ctypes.c_int16,
    "u32": ctypes.c_uint32,
    "i64": ctypes.c_int64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(C_TYPES)), st.integers(0, 3)), min_size=1, max_size=7),
    st.lists(st.sampled_from(sorted(C_TYPES)), min_size=1, max_size=3),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_memory_lies_as_a_c_compiler_lays_it(fields: list[tuple[str, int]], inner: list[str], packed: bool, random: Any) -> None:
    pack = {"_pack_": 1} if packed else {}
    inner_c = type("Inner", (ctypes.Structure,), {**pack, "_fields_": [(f"i{n}", C_TYPES[name]) for n, name in enumerate(inner)]})
    members: list[tuple[str, Any]] = [("x", ctypes.c_uint8), ("inner", inner_c * 2)]
    described: list[dict[str, Any]] = [
        {"name": "x", "type": "u8"},
        {"name": "inner", "type": {"array": [{"defined": {"name": "Inner"}}, 2]}},
    ]
    for number, (name, length) in enumerate(fields):
        members.append((f"f{number}", C_TYPES[name] * length if length else C_TYPES[name]))
        described.append({"name": f"f{number}", "type": {"array": [name, length]} if length else name})
    outer_c = type("Outer", (ctypes.Structure,), {**pack, "_fields_": members})
    representation = {"kind": "c", "packed": packed}
    types = [
        {"name": "Outer", "serialization": "bytemuck", "repr": representation, "type": {"kind": "struct", "fields": described}},
        {
            "name": "Inner",
            "repr": representation,
            "type": {"kind": "struct", "fields": [{"name": f"i{n}", "type": name} for n, name in enumerate(inner)]},
        },
    ]
    coder = Coder(parse_idl(document(types=types, accounts=[{"name": "Outer", "discriminator": [9]}])))
    # A float's bits are kept where they are a number of few digits, so that no NaN appears.
    raw = bytearray(random.randrange(0, 60) for _ in range(ctypes.sizeof(outer_c)))
    truth = outer_c.from_buffer(raw)
    found = coder.decode_account("Outer", b"\x09" + bytes(raw))
    assert found["x"] == truth.x
    assert [list(item.values()) for item in found["inner"]] == [
        [getattr(item, f"i{n}") for n in range(len(inner))] for item in truth.inner
    ]
    for number, (_, length) in enumerate(fields):
        expected = getattr(truth, f"f{number}")
        assert list(found[f"f{number}"]) == list(expected) if length else found[f"f{number}"] == expected
    with pytest.raises(DecodeError):
        coder.decode_account("Outer", b"\x09")


def test_zero_copy_accounts_without_a_certain_layout_are_refused() -> None:
    def account(fields: list[Any], representation: Any = {"kind": "c"}, more: list[Any] | None = None) -> Coder:  # noqa: B006
        body = {"kind": "struct", "fields": [{"name": f"f{n}", "type": type_} for n, type_ in enumerate(fields)]}
        raw = {"name": "Raw", "serialization": "bytemuck", "repr": representation, "type": body}
        return Coder(parse_idl(document(types=[raw, *(more or [])], accounts=[{"name": "Raw", "discriminator": [9]}])))

    assert account(["u128", "u64", "u64"]).decode_account("Raw", b"\x09" + bytes(32)) == {"f0": 0, "f1": 0, "f2": 0}
    for coder, error in (
        (account(["u64", "u128"]), "alignment of 128-bit integers"),
        (account(["u128", "u64"]), "alignment of 128-bit integers"),
        (account(["u8"], {"kind": "rust"}), "neither repr.C. nor packed"),
        (account(["string"]), "no layout in memory"),
        (account([{"option": "u8"}]), "no layout in memory"),
        (account([{"defined": {"name": "Raw"}}]), "Raw contains itself"),
    ):
        with pytest.raises(IdlError, match=error):
            coder.decode_account("Raw", b"\x09" + bytes(64))
    kind = {"name": "Kind", "type": {"kind": "enum", "variants": [{"name": "On"}, {"name": "Off"}]}}
    coder = account(["u8", {"defined": {"name": "Kind"}}], more=[kind])
    assert coder.decode_account("Raw", b"\x09\x05\x01") == {"f0": 5, "f1": "Off"}
    with pytest.raises(DecodeError, match=r"Raw\.f1: 2 is no variant"):
        coder.decode_account("Raw", b"\x09\x05\x02")


def test_another_account_is_named() -> None:
    coder = Coder(idl_named("oracle"))
    data = coder.idl.accounts["OracleData"] + bytes(168)
    with pytest.raises(DecodeError, match="not an account MeterState of oracle but OracleData"):
        coder.decode_account("MeterState", data)
    assert coder.decode_account("OracleData", data)["max_energy_value"] == 0
    with pytest.raises(DecodeError, match=r"OracleData: 168 bytes are wanted at 8, 167 are left"):
        coder.decode_account("OracleData", data[:-1])
    with pytest.raises(DecodeError, match="oracle has no account Order"):
        coder.decode_account("Order", data)
    assert coder.account_name(struct.pack("<Q", 0)) is None
