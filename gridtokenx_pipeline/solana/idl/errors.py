"""What can be wrong with an IDL, with a value, with bytes, or between an IDL and what it was expected to be."""

from __future__ import annotations


class IdlError(ValueError):
    """The IDL itself is not what it should be; the message starts with the place in its JSON."""


class BindingError(ValueError):
    """A program's id, IDL or argument list is another one than the one bound."""


class CodecError(ValueError):
    """A value or bytes do not fit a type. `path` leads to the place, as in `args.payload.order_id[3]`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = ""

    def within(self, step: str) -> CodecError:
        """Put `step` (`.name` or `[3]`) in front of the path: called on the way out, so that only failures pay for paths."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        path = self.path.removeprefix(".")
        return f"{path}: {self.message}" if path else self.message


class EncodeError(CodecError):
    """A value is not of its type."""


class DecodeError(CodecError):
    """Bytes are not of their type."""
