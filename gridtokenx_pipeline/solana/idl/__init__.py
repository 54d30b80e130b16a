"""Programs by their Anchor IDL (spec 0.1.0): instructions written, accounts and events read, bound to what was looked at."""

from .canonical import account_list, argument_list, idl_sha256
from .coder import Coder
from .errors import BindingError, CodecError, DecodeError, EncodeError, IdlError
from .model import Idl
from .parse import parse_idl, read_idl
from .program import Expected, Layout, Program

__all__ = [
    "BindingError",
    "CodecError",
    "Coder",
    "DecodeError",
    "EncodeError",
    "Expected",
    "Idl",
    "IdlError",
    "Layout",
    "Program",
    "account_list",
    "argument_list",
    "idl_sha256",
    "parse_idl",
    "read_idl",
]
