"""Mistakes that people make in configurations, one edit each, and what must be said of them."""
