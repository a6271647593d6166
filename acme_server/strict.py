"""Bytes from strangers, read one way only: canonical base64url and JSON without second meanings."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from acme_server.errors import Malformed

JSONObject = Mapping[str, Any]


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: object, what: str) -> bytes:
    """The octets of unpadded base64url in its one canonical form. Raises `Malformed` naming `what`."""
    refused = Malformed(f"{what} is no base64url without padding.", next_step="See RFC 8555 §6.1 and RFC 7515 §2.")
    if not isinstance(text, str):
        raise refused
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise refused from None
    if encode(data) != text:  # the library overlooks foreign characters and stray bits
        raise refused
    return data


def json_object(data: bytes, what: str) -> JSONObject:
    """One JSON object in UTF-8. Raises `Malformed` for anything else, and for a member that stands twice."""
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{what} cannot be read as JSON: {_first_line(error)}.") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no JSON object.")
    return value


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _first_line(error: Exception) -> str:
    return "too deep" if isinstance(error, RecursionError) else str(error).partition("\n")[0][:120].rstrip(".")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_twins, parse_constant=_no_constant)
