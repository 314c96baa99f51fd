"""What the ledger knows, as events of OpenLineage: written to a file, or sent to a service."""
