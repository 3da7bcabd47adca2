"""Workload identity federation: a machine's identity token is exchanged for a token of the Claude API."""
