"""What is known of the molecules of a run beforehand, and how the network hears of it."""
