"""The files of a mesh, read: YAML, contracts, SQL, Python and dbt projects to the words of the mesh, with positions."""
