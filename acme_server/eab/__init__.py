"""External account binding (RFC 8555 §7.3.4): credentials that operators hand out, and what accounts may do by them.

A credential is a key identifier and an HMAC key. Whoever registers an account with it is bound to its scope: names,
profiles, networks, a quota. By explicit choice it also waives challenges inside that scope ("trusted accounts").
"""
