"""Does an issuer's nameConstraints extension permit a name? (RFC 5280 §4.2.1.10)"""

import ipaddress
from urllib.parse import urlsplit

from cryptography import x509


def permits(constraints: x509.NameConstraints, name: x509.GeneralName) -> bool:
    """Inside a permitted subtree if there is one of its kind, and inside no excluded one."""
    permitted = [one for one in constraints.permitted_subtrees or () if type(one) is type(name)]
    excluded = [one for one in constraints.excluded_subtrees or () if type(one) is type(name)]
    if any(_inside(name, subtree) for subtree in excluded):
        return False
    return not permitted or any(_inside(name, subtree) for subtree in permitted)


def _inside(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    match name, subtree:
        case x509.DNSName(), x509.DNSName():
            return _below(name.value, subtree.value)
        case x509.IPAddress(), x509.IPAddress():
            return _in_network(name.value, subtree.value)
        case x509.UniformResourceIdentifier(), x509.UniformResourceIdentifier():
            return _is_host(urlsplit(name.value).hostname or "", subtree.value)
        case _:
            return True  # a kind that is constrained but never issued: as excluded, or permitted nowhere


def _below(host: str, subtree: str) -> bool:
    return not subtree or host == subtree or host.endswith("." + subtree)


def _in_network(address: object, network: object) -> bool:
    match address, network:
        case ipaddress.IPv4Address(), ipaddress.IPv4Network():
            return address in network
        case ipaddress.IPv6Address(), ipaddress.IPv6Network():
            return address in network
        case _:
            return False


def _is_host(host: str, subtree: str) -> bool:
    return not subtree or host == subtree or (subtree.startswith(".") and host.endswith(subtree))
