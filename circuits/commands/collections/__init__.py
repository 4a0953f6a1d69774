"""Commands about many circuits at once."""
