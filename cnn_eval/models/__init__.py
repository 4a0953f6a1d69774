"""The networks, one file each, their weights, training and quantisation, and a user's own network."""
