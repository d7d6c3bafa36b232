"""What several tests use: servers, drivers, reference implementations, readers of the documents."""
