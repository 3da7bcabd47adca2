"""Measurements of freshkey: endurance under faults, and latency of `Keeper.get`."""
