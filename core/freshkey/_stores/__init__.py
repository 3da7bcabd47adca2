"""Where owned credentials are kept between processes: the keychain, an encrypted file, or memory."""
