"""Clients of the vendors: one file each, async and typed."""
