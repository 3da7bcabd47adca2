"""The data model: profiles, sources, credentials, and the protocols that the other packages share; no I/O."""
