"""Any tree of photos."""
