"""What touches the kernel: commands that run, namespaces that are entered, what is looked at."""
