"""The n8n workflows of this project: the files in n8n-workflows/, and n8n's public API, which takes and runs them."""
