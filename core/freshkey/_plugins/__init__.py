"""Plugins: finding them by metadata, wiring them, and calling their hooks."""
