"""Strict reading: one encoding, one meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_server.errors import Malformed
from acme_server.strict import decode, encode, json_object


@given(st.binary(max_size=64))
def test_base64url_is_the_identity_there_and_back(data: bytes) -> None:
    assert decode(encode(data), "it") == data


@pytest.mark.parametrize(
    "text",
    ["YQ==", "YQ=", "Y", "YR", "Y+8_", "Y/8_", "YWJj\n", " YWJj", "YW Jj", "YWJjé", None, 7, b"YWJj", ["YWJj"]],
)
def test_A03_other_base64_is_refused(text: object) -> None:
    with pytest.raises(Malformed):
        decode(text, "it")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1} {"b": 2}',
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_json_with_two_meanings_or_none_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        json_object(data, "it")


def test_json_object_is_read() -> None:
    assert json_object(b' {"a": {"b": [1, null, "\\u00e9"]}} ', "it") == {"a": {"b": [1, None, "é"]}}
