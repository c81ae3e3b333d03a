"""The one loop: load, decide, commit, release."""
