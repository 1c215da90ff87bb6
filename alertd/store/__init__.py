"""The only place with SQL. Each module holds the named queries over one noun; every function takes a connection."""
