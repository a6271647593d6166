"""Ceremonies: how roots and issuing CAs come to be, with a transcript of every step."""
