"""Short-term certificates that renew themselves until their order ends or is cancelled (RFC 8739)."""
