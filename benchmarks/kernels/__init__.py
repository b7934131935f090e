"""Matrix products and convolutions one at a time, against the libraries that others call."""
