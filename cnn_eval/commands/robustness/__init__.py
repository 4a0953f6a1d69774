"""What `attack` and `audit` run and print."""
