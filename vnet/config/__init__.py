"""The settings: the table of keys, the files, the layers, and the frozen value that comes of them."""
