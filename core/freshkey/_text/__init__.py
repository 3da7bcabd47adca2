"""Text of others, made fit to be shown: visible, limited in length, and without secrets."""
