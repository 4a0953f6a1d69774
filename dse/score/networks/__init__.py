"""The networks that designs are scored in: which one, its layers and images, what identifies them in a store."""
