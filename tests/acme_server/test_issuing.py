"""The whole way, over a real CA: order, proof, finalize, download."""

from tests.acme_server.client import Client, a_name


def test_the_whole_way(registered: Client) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    print(leaf)
