"""What is searched: genomes that decode to designs."""
