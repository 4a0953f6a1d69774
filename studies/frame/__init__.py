"""What every study shares: options, rows, verdicts, stored results, the page that shows them."""
