"""A table's profile, what is odd in it, and the tests that it suggests."""
