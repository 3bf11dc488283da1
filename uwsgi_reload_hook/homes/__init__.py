"""The places where the hook runs besides a mule: as a Python vassal, and from a shell."""
