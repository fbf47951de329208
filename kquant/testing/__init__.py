"""What tests and plugin authors share."""
