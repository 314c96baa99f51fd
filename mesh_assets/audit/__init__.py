"""Is this table what its contract says?"""
