"""Studies of integer multipliers: libraries of them, evolution, and quantised networks."""
