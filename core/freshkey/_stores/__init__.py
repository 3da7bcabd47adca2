"""Where freshkey stores its own credentials: the keychain, an encrypted file, or memory."""
