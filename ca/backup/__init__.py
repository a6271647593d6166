"""Backups: the records of one moment, sealed for a key that is kept elsewhere, and back into an empty place.

    take(config, store, recipients, out)          # encrypted, consistent, beside writers
    verify(path, identity)                        # reads all of it back, writes nothing that stays
    restore(config, path, identity)               # into an empty database, revoke-only until confirmed

A backup holds neither PIN nor token nor the signer's ledger, which is the anchor that shows what a backup lacks.
"""
