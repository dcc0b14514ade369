"""The public web app: small, fast, nothing but receiving."""
