"""The Claude OAuth provider of freshkey."""
