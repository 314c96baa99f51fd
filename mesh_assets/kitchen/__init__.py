"""Kitchens: the whole mesh as a sandbox. Open, work, test, compare, promote, revert, close."""
