"""A report about freshkey on a machine that its authors do not have: see ``scripts/report``."""
