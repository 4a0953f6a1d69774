"""What all studies share: options, rows, verdicts, stored results and the page that shows them."""
