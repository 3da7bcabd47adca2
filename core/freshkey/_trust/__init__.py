"""What the user agreed to: a project's commands, and credentials found in addition to a sign-in."""
