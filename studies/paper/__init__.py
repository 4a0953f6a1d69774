"""Published tables and figures, published numbers beside ours; one file each."""
