"""Profiles that Anthropic's own tools maintain, such as the CLI ``ant`` and the SDKs."""
