"""Coordination between processes on one machine: locks, change notifications, hints."""
