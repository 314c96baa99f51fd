"""The account: what is expected, what state every table is in, who caused it, and who was told."""
