"""What is measured of a network: accuracy, confidence, margins, noise."""
