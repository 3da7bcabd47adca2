"""Account operations: sign in, sign out, import a key, show the status."""
