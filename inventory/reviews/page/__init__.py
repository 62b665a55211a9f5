"""The report page: one HTML file of a review, with pictures."""
