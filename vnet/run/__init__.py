"""vnet-run: the guests' commands, run side by side until the first of them fails, or all have succeeded."""
