"""What every table of the configuration is made of."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(value: object) -> object:
    """`90d`, `24h`, `1h30m` or a whole number of seconds, as seconds. Other values are left to the type check."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+)([smhd])", value)
    if not parts or "".join(n + u for n, u in parts) != value:
        raise ValueError(f"{value!r} is no duration: write 90d, 24h or 1h30m")
    return sum(int(n) * _UNITS[u] for n, u in parts)


def duration(value: int) -> str:
    """Those seconds as they may be written in the file: `90d`, `1h30m`; `0s` for none."""
    parts = []
    for unit, size in sorted(_UNITS.items(), key=lambda one: -one[1]):
        count, value = divmod(value, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


Seconds = Annotated[int, BeforeValidator(seconds), Field(ge=0)]


class Section(BaseModel):
    """A table of the file: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
