"""Which source of a profile wins, and how that is told."""
