"""The words of the `mesh` command, a module for each group of them. Each parses, calls one function, and prints."""
