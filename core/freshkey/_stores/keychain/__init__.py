"""The operating system's keychain as a store."""
