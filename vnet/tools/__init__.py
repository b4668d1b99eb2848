"""Builders for the tools that vnet calls: typed values in, one command out; nothing is run here."""
