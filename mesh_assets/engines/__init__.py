"""The tests of a contract where the data is: the row-level ones as SQL of other engines."""
