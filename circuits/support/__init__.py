"""What every package shares: files, text, tables, statistics, command lines."""
