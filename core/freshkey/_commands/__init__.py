"""Starting programs: one runner, and what each kind of program may see and print."""
