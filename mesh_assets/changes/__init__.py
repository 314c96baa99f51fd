"""A change is known, judged for each reader, proven by running, and told."""
