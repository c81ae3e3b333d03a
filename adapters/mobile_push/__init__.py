"""Adapters of the channel mobile_push."""
