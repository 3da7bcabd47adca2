"""An encrypted file as a store, for machines without a keychain."""
