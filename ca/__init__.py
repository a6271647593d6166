"""The authority: keys, policy, issuance, revocation, journal. It knows no HTTP and no timer."""
