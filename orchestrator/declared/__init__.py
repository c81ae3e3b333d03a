"""Gateways that are declared in the configuration: the adapter ``http``, without code."""
