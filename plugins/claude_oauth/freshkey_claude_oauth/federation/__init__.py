"""Workload identity federation: a machine's identity token is exchanged for a Claude API token."""
