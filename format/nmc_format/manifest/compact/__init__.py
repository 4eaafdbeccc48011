"""The compact form of HDF5 (clause 5.3.1, annex D), read and written in plain Python."""
