"""Secrets from environment variables and inherited file descriptors."""
