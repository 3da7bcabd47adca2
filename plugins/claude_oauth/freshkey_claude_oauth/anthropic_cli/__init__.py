"""Profiles that Anthropic's own tools keep, such as its command line ``ant`` and its SDKs."""
