"""The mesh in Dagster. Nothing outside this folder imports Dagster, but the code locations themselves."""
