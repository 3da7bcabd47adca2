"""The way to a plugin: found by metadata, wired, and called."""
