"""The encrypted file store, for machines without a keychain."""
