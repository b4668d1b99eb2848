"""What is up, shown: as a tree, a matrix, JSON."""
