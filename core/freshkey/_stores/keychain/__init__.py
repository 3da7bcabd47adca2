"""The keychain store: credentials in the operating system's keychain."""
