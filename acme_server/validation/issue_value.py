"""The issue-value of RFC 8659 §4.2, an issuer's name and parameters: CAA records and dns-persist-01 are written so."""

import re
from dataclasses import dataclass

_LABEL = r"[A-Za-z0-9](?:-*[A-Za-z0-9])*"
_VALUE = re.compile(rf"[ \t]*({_LABEL}(?:\.{_LABEL})*)?[ \t]*(?:;(.*))?", re.DOTALL)
_PARAMETER = re.compile(rf"[ \t]*({_LABEL})[ \t]*=[ \t]*([\x21-\x3a\x3c-\x7e]*)[ \t]*")
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class IssueValue:
    """`issuer` in lower case, empty for nobody; `parameters` in order, their tags in lower case."""

    issuer: str
    parameters: tuple[tuple[str, str], ...] = ()

    def only(self, tag: str) -> str | None:
        """A parameter's value; None if it is not there. Raises ValueError if it is there more than once."""
        found = [value for one, value in self.parameters if one == tag]
        if len(found) > 1:
            raise ValueError(f"{tag} stands there {len(found)} times")
        return found[0] if found else None


def parse(octets: bytes) -> IssueValue:
    """Raises ValueError for what does not have the form."""
    text = octets.decode("ascii")
    whole = _VALUE.fullmatch(text) if len(text) <= _LONGEST else None
    if whole is None:
        raise ValueError("this is no issue-value")
    return IssueValue((whole[1] or "").lower(), tuple(map(_parameter, _parts(whole[2] or ""))))


def _parts(text: str) -> list[str]:
    return text.split(";") if text.strip(" \t") else []


def _parameter(text: str) -> tuple[str, str]:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise ValueError("this is no parameter")
    return found[1].lower(), found[2]
