"""One folder per deployed function; its main.py says what it does."""
