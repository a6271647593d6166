"""Where the lists of an issuer lie and by which URL certificates name them. A list is known by its number: the id of
a shard, or `FULL` for the one over all shards."""

from ca.issuer import Urls
from ca.records import ALL_SHARDS

FULL = ALL_SHARDS
"""The list over all shards."""


def shard_url(status_url: str, issuer: str, shard: int) -> str:
    """The URL of a shard, as its certificates carry it; empty for the full list, which has no scope of its own."""
    return Urls(status_url).crl(issuer, shard) if shard != FULL else ""


def delta_url(status_url: str, issuer: str, shard: int) -> str:
    """The URL of a shard's delta CRL."""
    return f"{status_url.rstrip('/')}/{delta_path(issuer, shard)}"


def label(shard: int) -> str:
    """`0000` to `ffff`, or `full`: a list in paths, events and tables."""
    return "full" if shard == FULL else f"{shard:04x}"


def list_path(issuer: str, shard: int) -> str:
    """The publication path of a list."""
    return f"crl/{issuer}/{label(shard)}.crl"


def shard_path(issuer: str, shard: int) -> str:
    """The publication path of a shard."""
    return list_path(issuer, shard)


def full_path(issuer: str) -> str:
    """The publication path of the CRL over all shards."""
    return list_path(issuer, FULL)


def delta_path(issuer: str, shard: int) -> str:
    """The publication path of a shard's delta CRL."""
    return f"crl/{issuer}/delta/{shard:04x}.crl"


def issuer_of(path: str) -> str:
    """The issuer in a CRL's publication path."""
    return path.split("/")[1]
