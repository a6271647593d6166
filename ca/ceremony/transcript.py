"""The transcript of a ceremony: what was done, when, with which key, and what came out (KC-01).

It is one canonical JSON document with its own SHA-256 beside it, and the same as text for the people who sign
it. It holds no secret: keys appear as hashes of their public part and as attributes read back from the token.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from cryptography.hazmat.backends.openssl import backend

from ca.clock import Clock, rfc3339
from ca.errors import BadRequest

_DISTRIBUTIONS = ("certwright", "cryptography", "python-pkcs11")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when (epoch seconds), what, and the facts that a witness can check."""

    at: int
    action: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A finished transcript. `attestation` is a vendor's statement about the token's keys, empty if there is none."""

    title: str
    steps: tuple[Step, ...]
    witnesses: tuple[str, ...] = ()
    attestation: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)

    def canonical(self) -> bytes:
        """The octets that the hash is over: JSON with sorted keys and without spaces."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def sha256(self) -> str:
        """What the journal holds and what the witnesses sign."""
        return sha256(self.canonical())

    def json(self) -> bytes:
        """`{"sha256": …, "transcript": …}`: see `read`."""
        return msgspec.json.format(msgspec.json.encode({"sha256": self.sha256, "transcript": self}, order="sorted"))

    def text(self) -> str:
        """For people: the steps in order, room for signatures, and the hash."""
        lines = [self.title, "=" * len(self.title), ""]
        for number, step in enumerate(self.steps, 1):
            lines += [f"{number:2}. {rfc3339(step.at)}  {step.action}", *_fact_lines(step.facts), ""]
        lines += ["Tools:", *(f"      {name} {found}" for name, found in sorted(self.tools.items())), ""]
        lines += [f"Vendor's attestation: {self.attestation or 'none was given'}", "", "Witnesses:"]
        lines += [f"      {name:40} signature: ____________________" for name in self.witnesses] or ["      none"]
        return "\n".join([*lines, "", f"SHA-256 of the canonical JSON: {self.sha256}", ""])


def _fact_lines(facts: Mapping[str, Any]) -> list[str]:
    return [f"      {name}: {_shown(value)}" for name, value in facts.items()]


def _shown(value: Any) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{name}={one}" for name, one in sorted(value.items()))
        case list() | tuple():
            return ", ".join(map(str, value)) or "none"
        case _:
            return str(value)


def read(document: bytes) -> Transcript:
    """The transcript in a document that `Transcript.json` made. Raises `BadRequest` when its hash is not its own."""
    try:
        found = msgspec.json.decode(document, type=_Document)
    except msgspec.DecodeError as error:
        raise BadRequest(f"This is no transcript: {error}.") from None
    if found.transcript.sha256 != found.sha256:
        raise BadRequest("The transcript was changed: its hash is another.", next_step="Compare it with the journal.")
    return found.transcript


class _Document(msgspec.Struct):
    sha256: str
    transcript: Transcript


class Scribe:
    """Writes the transcript while the ceremony goes on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps: list[Step] = []

    def note(self, action: str, **facts: object) -> None:
        """One step, now."""
        self._steps.append(Step(self._clock(), action, facts))

    def finish(self, title: str, witnesses: tuple[str, ...], attestation: str) -> Transcript:
        """The transcript of all steps so far."""
        return Transcript(title, tuple(self._steps), witnesses, attestation, tools())


def sha256(octets: bytes) -> str:
    """Lower-case hexadecimal, as transcripts name things."""
    return hashlib.sha256(octets).hexdigest()


def tools() -> dict[str, str]:
    """The versions of what was used."""
    found = {"python": platform.python_version(), "openssl": backend.openssl_version_text()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "from a checkout"
    return found
