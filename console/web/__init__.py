"""The console in the browser: pages for gym staff. An app of its own, on a port of its own."""
