"""The signer: the one long-running process that owns the token and knows the PIN.

    python -m ca.keys.signer --config FILE        or        certwright serve --only signer

It serves a Unix socket (`server`), looks up who asks (`peers`), lets the urgent go first (`lanes`), applies
rules to the whole TBS (`rules`), signs in the token that `custody` keeps open, and verifies each signature
with the key pinned at the ceremony (`pins`) before it leaves (`desk`).
"""

from ca.config import Config


def run(config: Config) -> None:
    """Serves until SIGTERM: see `process.run`. Imported late, so that naming the signer loads no PKCS#11."""
    from ca.keys.signer import process

    process.run(config)
