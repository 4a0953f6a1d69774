"""How it is searched: methods, the running search and its front."""
