"""What becomes of the server and its data when something breaks: run by `make drills`."""
