"""Tables in the database: migrate, own, index, remove."""
