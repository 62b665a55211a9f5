"""Charts and tables of a review in a notebook; needs the extra `notebooks`."""
