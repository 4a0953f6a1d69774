"""The study of speed on this machine."""
