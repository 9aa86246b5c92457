"""What the shipped weights yield, beside real molecules."""
