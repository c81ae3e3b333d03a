"""Adapters of the channel ``telegram``."""
