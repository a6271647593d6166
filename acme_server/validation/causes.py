"""Why a challenge is not met, in words for whoever asked: one table of causes (RFC 8555 §6.7, §8; A-31).

What stands here is shown to everybody: it names no address, no resolver, no foreign text and no URL behind a redirect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """How a try ended, in a word. `fetched` says that an answer of the asked kind came, whatever stands in it."""

    MET = "met"
    FETCHED = "fetched"
    BUSY = "busy"
    # DNS
    NO_SUCH_NAME = "no-such-name"
    NO_ADDRESS = "no-address"
    NO_TEXT = "no-text"
    DNS_LATE = "dns-late"
    DNS_FAILED = "dns-failed"
    ALIASES = "aliases"
    # the way there
    ADDRESS_DENIED = "address-denied"
    REFUSED = "refused"
    CONNECT_LATE = "connect-late"
    UNREACHABLE = "unreachable"
    TIME_OVER = "time-over"
    # TLS
    NO_TLS = "no-tls"
    NO_ACME_TLS = "no-acme-tls"
    # HTTP
    NO_HTTP = "no-http"
    ANSWER_LATE = "answer-late"
    BROKEN_OFF = "broken-off"
    REDIRECTS = "redirects"
    BAD_REDIRECT = "bad-redirect"
    # what came
    STATUS = "status"
    WRONG_BODY = "wrong-body"
    WRONG_TEXT = "wrong-text"
    WRONG_CERTIFICATE = "wrong-certificate"
    UNFORESEEN = "unforeseen"
    # CAA
    CAA_FORBIDS = "caa-forbids"
    CAA_UNREADABLE = "caa-unreadable"
    # this side
    ENDED = "ended"
    NOT_OFFERED = "not-offered"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The ACME error type (empty: no failure), what happened, what to do; `again`: another try may end otherwise.

    Words in braces are facts of the single try.
    """

    error: str = ""
    happened: str = ""
    next_step: str = ""
    again: bool = True


MEANINGS: Mapping[Cause, Meaning] = {
    Cause.MET: Meaning(happened="The challenge is met."),
    Cause.FETCHED: Meaning(happened="{subject} answered."),
    Cause.BUSY: Meaning(happened="The fetcher is busy."),
    Cause.NO_SUCH_NAME: Meaning(
        "dns", "There is no name {subject} in the DNS (NXDOMAIN).", "Publish it where this server's resolvers look."
    ),
    Cause.NO_ADDRESS: Meaning(
        "dns", "{subject} has neither an A nor an AAAA record.", "Publish one that leads to the ACME client."
    ),
    Cause.NO_TEXT: Meaning("dns", "{subject} has no TXT record.", "Publish {wanted!r} there."),
    Cause.DNS_LATE: Meaning(
        "dns", "The DNS did not answer in time for {subject}.", "See whether the zone's servers answer at all."
    ),
    Cause.DNS_FAILED: Meaning(
        "dns", "The DNS cannot tell {subject}: its servers fail or refuse.", "Look at the zone's delegation and DNSSEC."
    ),
    Cause.ALIASES: Meaning(
        "dns", "{subject} is an alias of an alias, again and again.", "Point its CNAME to a name with the record."
    ),
    Cause.ADDRESS_DENIED: Meaning(
        "unauthorized",
        "{subject} leads to an address to which this server's validation does not go.",
        "Let the name lead to the host that asks; operators open special ranges by acme.validation.allow_networks.",
        again=False,
    ),
    Cause.REFUSED: Meaning(
        "connection", "{subject} refused the connection: nobody listens there.", "Start the ACME client's server there."
    ),
    Cause.CONNECT_LATE: Meaning(
        "connection", "{subject} accepted no connection in time.", "Let a firewall pass this server to that port."
    ),
    Cause.UNREACHABLE: Meaning(
        "connection", "{subject} cannot be reached from this server.", "Look at the name's addresses and their routes."
    ),
    Cause.TIME_OVER: Meaning(
        "connection", "The time for this challenge was over before {subject} was through.", "See which step took it."
    ),
    Cause.NO_TLS: Meaning(
        "tls", "{subject} completed no TLS handshake.", "Look at what listens there: TLS 1.2 or later is wanted."
    ),
    Cause.NO_ACME_TLS: Meaning(
        "tls",
        "{subject} speaks TLS, but not the protocol acme-tls/1.",
        "Let the port lead to the ACME client, not to another server.",
    ),
    Cause.NO_HTTP: Meaning(
        "connection", "{subject} gave no HTTP answer.", "Look at what listens there: plain HTTP is wanted."
    ),
    Cause.ANSWER_LATE: Meaning(
        "connection", "{subject} took the request, but did not answer in time.", "See why that server is slow."
    ),
    Cause.BROKEN_OFF: Meaning(
        "connection", "{subject} broke the connection off.", "Look into the log of the server there."
    ),
    Cause.REDIRECTS: Meaning(
        "connection", "{subject} redirects again and again.", "Serve the challenge without redirects."
    ),
    Cause.BAD_REDIRECT: Meaning(
        "connection", "A redirect of {subject} is not followed: {why}.", "Serve the challenge without this redirect."
    ),
    Cause.STATUS: Meaning(
        "incorrectResponse",
        "{subject} answered {status}, not 200: the challenge's file is not there.",
        "See whether the request reaches the host and folder where the ACME client puts it.",
    ),
    Cause.WRONG_BODY: Meaning(
        "incorrectResponse",
        "{subject} answered {found} instead of the key authorization.",
        "See whether the request reaches the host where the ACME client runs.",
    ),
    Cause.WRONG_TEXT: Meaning(
        "incorrectResponse",
        "{subject} has {found}, and no TXT record {wanted!r}.",
        "Publish that; others may stay beside it, and old answers may be cached for their TTL.",
    ),
    Cause.WRONG_CERTIFICATE: Meaning(
        "incorrectResponse",
        "The certificate that {subject} shows {why}.",
        "Let the port lead to the ACME client that asks, with this name alone.",
    ),
    Cause.UNFORESEEN: Meaning(
        "incorrectResponse",
        "{subject} answered something that this server does not understand.",
        "Look at what listens there; the operators of this CA find more in their log.",
    ),
    Cause.CAA_FORBIDS: Meaning(
        "caa",
        "The CAA records of {subject} forbid it: {why}.",
        "Add an issue property that names this CA (its directory says how), or ask another CA.",
    ),
    Cause.CAA_UNREADABLE: Meaning(
        "caa",
        "The CAA records of {subject} cannot be looked up ({why}), so this CA must not issue.",
        "Let the zone's servers answer for CAA, at least that there is none.",
    ),
    Cause.ENDED: Meaning(
        "unauthorized", "The authorization ended before its challenge was met.", "Place a new order.", again=False
    ),
    Cause.NOT_OFFERED: Meaning(
        "malformed", "{type} is not offered for {subject} any more.", "Place a new order.", again=False
    ),
}


def tell(cause: Cause, facts: Mapping[str, str]) -> str:
    """What happened and what to do, as a person reads it."""
    meaning, known = MEANINGS[cause], _Facts(facts)
    return f"{meaning.happened.format_map(known)} {meaning.next_step.format_map(known)}".rstrip()


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "something"
