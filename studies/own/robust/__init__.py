"""Own study: whether any design makes a network more robust than the exact one against an adaptive attacker."""
