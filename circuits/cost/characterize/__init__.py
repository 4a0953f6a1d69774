"""How the 45 nm table is made: transistor networks, SPICE runs, measurements."""
