"""Pictures of a fitted model, and a report of one file that shows them."""

from sfumato.report.gallery import pictures
from sfumato.report.look import Picture
from sfumato.report.page import html

__all__ = ["Picture", "html", "pictures"]
