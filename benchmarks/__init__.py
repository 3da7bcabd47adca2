"""freshkey measured: endurance under faults, and latency of what a caller waits for."""
