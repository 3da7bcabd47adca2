"""Which source of a profile is used, and how that is explained."""
