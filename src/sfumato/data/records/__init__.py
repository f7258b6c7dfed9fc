"""Mixed records: rows of a table of which some columns are images or free text."""
