"""RFC 8555 and its extensions: the doors that ACME clients knock at. Knows `ca`, and no timer."""
