"""Rows that several studies share."""
