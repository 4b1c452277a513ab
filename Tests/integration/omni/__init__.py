"""What the acceptance tests are told with: the daemon, its neighbours, and ways to wait."""
