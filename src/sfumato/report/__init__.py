"""Pictures of a fitted model, a report of one file that shows them, and the page of a comparison."""

from sfumato.report.comparison_page import compared
from sfumato.report.figures.style import Picture
from sfumato.report.gallery import pictures
from sfumato.report.page import html

__all__ = ["Picture", "compared", "html", "pictures"]
