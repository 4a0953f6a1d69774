"""Self-contained web pages: the shell, the styles and the browser code that all reports share."""
