"""The manifest (clauses 5.3 to 5.7): HDF5 bytes in, typed records out, every check between."""
