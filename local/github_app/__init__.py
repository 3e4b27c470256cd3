"""How the GitHub App comes to be: its manifest, the page with the button, and its credentials in files."""
