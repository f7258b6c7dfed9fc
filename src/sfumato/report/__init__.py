"""Pictures of a fitted model, a report of one file that shows them, and the page of a comparison."""

from sfumato.report.compared import compared
from sfumato.report.gallery import pictures
from sfumato.report.look import Picture
from sfumato.report.page import html

__all__ = ["Picture", "compared", "html", "pictures"]
