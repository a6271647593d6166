"""One command line for people and units."""
