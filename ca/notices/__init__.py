"""Channels: telling people by e-mail, signed webhooks and chats what they have to know.

A notice is text from many hands: each channel writes it so that no part of it can become a header, a link or markup.
"""

from ca.notices.wiring import Channel, open_channels

__all__ = ["Channel", "open_channels"]
