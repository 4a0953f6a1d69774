"""Networks, one file each with its training recipe, their weights and training, quantisation, and a user's network."""
