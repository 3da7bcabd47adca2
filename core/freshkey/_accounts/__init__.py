"""Whose sign-in is kept here: signing in and out, importing a key, asking how things stand."""
