"""What processes of one machine tell each other: locks, change notifications, hints."""
