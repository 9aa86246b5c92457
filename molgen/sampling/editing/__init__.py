"""New molecules from given ones near one of them."""
