"""hardwareModuleName (RFC 4108, 5): the name of a device inside its certificate, as IEEE 2030.5-2018 6.11.7 asks for it."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

# 32473 is the enterprise number IANA keeps for documentation (RFC 5612): replace the arc with your own in production.
HARDWARE_TYPE = ObjectIdentifier("1.3.6.1.4.1.32473.2030.5.1")
HARDWARE_MODULE_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.4")


def hardware_name(serial: str) -> x509.OtherName:
    """SAN entry of a device with hardware serial number `serial` (at most about 100 bytes)."""
    return x509.OtherName(HARDWARE_MODULE_NAME, _hardware_module_name(HARDWARE_TYPE, serial.encode()))


def hardware_serial(certificate: x509.Certificate) -> str | None:
    """hwSerialNum of a device certificate's hardwareModuleName; None where it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for other in names.get_values_for_type(x509.OtherName):
        if other.type_id == HARDWARE_MODULE_NAME:
            try:
                tag, sequence, _ = _take(other.value)
                _, _, rest = _take(sequence)
                inner, serial, _ = _take(rest)
            except IndexError:
                return None
            return serial.decode("utf-8", "replace") if (tag, inner) == (0x30, 0x04) else None
    return None


def _hardware_module_name(hardware_type: ObjectIdentifier, serial: bytes) -> bytes:
    """DER of HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }."""
    first, second, *rest = (int(arc) for arc in hardware_type.dotted_string.split("."))
    content = bytearray([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    body = bytes([0x06, len(content), *content, 0x04, len(serial), *serial])
    if len(body) > 127:
        raise ValueError("hardware module name longer than its one-octet length")
    return bytes([0x30, len(body)]) + body


def _take(der: bytes) -> tuple[int, bytes, bytes]:
    """Split one DER value of short or long length off: tag, content, rest. Raises `IndexError` where it is cut off."""
    tag, length, at = der[0], der[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(der[2:at], "big")
    if at + length > len(der):
        raise IndexError("cut off")
    return tag, der[at : at + length], der[at + length :]
