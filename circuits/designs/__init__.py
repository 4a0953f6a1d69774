"""Designs as plain data: the record, where each cell stands, named designs, TOML, digests."""
