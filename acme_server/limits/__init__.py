"""Limits: how much one account, name or address may ask for, and what becomes of clients that fail for ever (A-13)."""
