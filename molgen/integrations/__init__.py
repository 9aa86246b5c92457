"""Bridges to other packages; nothing inside molgen imports them."""
