"""vnet-doctor: facts are looked up, each check judges them, and a page tells what came out."""
