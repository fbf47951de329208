"""What was known of each stock before the day."""
