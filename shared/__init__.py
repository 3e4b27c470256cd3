"""What the deployed functions have in common."""
