"""The portal: what Dagster has no page for, a domain, at addresses that stay. HTML for people, JSON for programs."""
