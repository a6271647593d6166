"""Ceremonies: how roots and issuing CAs come to be, with a transcript of every step (KC-01 to KC-08).

With the root's token opened in this process (`ca.keys.token.Token`) and the signer running:

    root_key = open_root_key(token, root_plan, clock)                                  # ca.ceremony.root_key
    outcome = hold(Room(...), root_plan, plan, root_key, Minutes(actor, archive))      # ca.ceremony.hold

    renew_lists(Room(...), root_plan, root_key, Minutes(actor, archive))               # ca.ceremony.further, later on

`plans` says what is made, `certificates` makes it, `records` writes it down, `transcript` tells of it,
`spares` publishes the root's next CRL when its time has come.
"""
