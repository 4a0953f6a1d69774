"""Studies of our own, which have no published table or figure."""
