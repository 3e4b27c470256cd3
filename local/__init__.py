"""What runs on an operator's machine and is never deployed."""
