"""Endurance and latency: they look inside, and need a provider."""
