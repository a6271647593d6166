"""The frozen row of a try."""

from dataclasses import dataclass

from acme_server.validation.causes import Cause
from acme_server.validation.wire import Step


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a challenge that came to a verdict, kept until `expires`; it took `ms`.

    `link` is the SHA-256 of the secret in its URL, empty for a try that met. `facts` and the subjects and outcomes of
    the trail are for everybody who has that URL, `inside` and the details of the trail for operators.
    """

    id: str
    link: str
    authorization_id: str
    type: str
    name: str
    number: int
    ended_at: int
    ms: int
    cause: Cause
    facts: dict[str, str]
    inside: str
    trail: tuple[Step, ...]
    expires: int
