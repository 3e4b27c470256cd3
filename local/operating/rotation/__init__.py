"""The life of the secrets in Secret Manager: how old each is, and how one is replaced while both work."""
