"""What the user agreed to: commands that a project names, and credentials found beside a sign-in."""
