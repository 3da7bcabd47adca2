"""Safe reading and writing of files: bounded, private, atomic."""
