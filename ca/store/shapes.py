"""How a frozen record lies in its table: one column a field, of the same name.

Integers, text and bytes are stored as they are, a serial as lower-case hex, a truth value as 0 or 1, an enum
by its value, and everything else (names, actors, mappings) as JSON text. A table may have more columns than
its record: whoever inserts gives them by name.
"""

import dataclasses
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from ca.records import serial_hex

R = TypeVar("R")
Convert = Callable[[Any], Any]


class Shape(Generic[R]):
    """The statements of one record's table, and its way into a row and back."""

    def __init__(self, table: str, record: type[R]) -> None:
        self.table = table
        self.record = record

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that hold the record, in the order of its fields."""
        return tuple(field.name for field in dataclasses.fields(self.record))  # type: ignore[arg-type]

    @cached_property
    def _codecs(self) -> tuple[tuple[Convert, Convert], ...]:
        hints = get_type_hints(self.record)
        return tuple(_codec(name, hints[name]) for name in self.columns)

    def encode(self, record: R) -> list[Any]:
        """The values of a row."""
        return [to_row(getattr(record, name)) for name, (to_row, _) in zip(self.columns, self._codecs, strict=True)]

    def decode(self, row: Sequence[Any]) -> R:
        """The record of a row, whose columns are `columns`."""
        return self.record(*[from_row(value) for value, (_, from_row) in zip(row, self._codecs, strict=True)])

    @lru_cache  # noqa: B019 - shapes are module constants, they live as long as the process
    def select(self, tail: str) -> str:
        """A SELECT of whole records; `tail` begins with WHERE or ORDER BY."""
        return " ".join(("SELECT", self.listed, "FROM", self.table, tail))

    @lru_cache  # noqa: B019
    def insert(self, extra: tuple[str, ...], tail: str) -> str:
        """An INSERT of one record and the columns `extra`; `tail` begins with ON CONFLICT or RETURNING."""
        names = (*self.columns, *extra)
        marks = ", ".join("?" * len(names))
        return " ".join(("INSERT INTO", self.table, f"({_quoted(names)}) VALUES ({marks})", tail))

    @cached_property
    def listed(self) -> str:
        """The columns as SQL."""
        return _quoted(self.columns)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _codec(name: str, hint: Any) -> tuple[Convert, Convert]:
    if name == "serial":
        return serial_hex, _from_hex
    if hint in (int, str, bytes):
        return _same, _same
    if hint is bool:
        return int, bool
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return str, hint
    decoder = msgspec.json.Decoder(hint)
    return json_text, decoder.decode


def _same(value: Any) -> Any:
    return value


def _from_hex(value: str) -> int:
    return int(value, 16)


def json_text(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces."""
    return msgspec.json.encode(value, order="sorted").decode()
