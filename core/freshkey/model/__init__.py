"""The words of freshkey as values: profiles, sources, credentials, and the protocols that rooms share; no I/O."""
