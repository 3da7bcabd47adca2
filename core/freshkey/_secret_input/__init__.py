"""Secrets that are handed in: environment variables and file descriptors."""
