"""The page of a search: what is put into it, its browser code, and the server that shows it while a search runs."""
