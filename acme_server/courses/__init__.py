"""The course of an order that renews itself (RFC 8739): what it asks for, and how far it is."""
