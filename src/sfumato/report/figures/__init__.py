"""The figures of a report that are not specific to one kind of data, and the style that all figures share."""
