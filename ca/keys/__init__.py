"""Keys that live in tokens: PKCS#11, the signer process, and private keys whose secret is elsewhere.

`algorithms` is the table of what can be signed with. `token` speaks PKCS#11 in this process (the signer, a
ceremony); `signer` is the one long-running process that does so; `client` talks to it. `handles` are
cryptography's private-key classes over any `sign(tbs) -> bytes`; `sealed` narrows one down to the exact
bytes that were linted; `ring` holds the states a key goes through.
"""
