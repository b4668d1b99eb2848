"""What is up, shown: as a tree, a matrix, a picture, JSON."""
