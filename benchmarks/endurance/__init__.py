"""Endurance and latency measurements; they use internals of freshkey and need a provider."""
