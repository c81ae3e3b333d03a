"""The inbox of a page or an app, in this installation's own store."""
