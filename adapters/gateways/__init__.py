"""Gateways that serve several channels through one API."""
