"""Figures of a fitted model, the report of a run, and the page of a comparison."""

from sfumato.report.comparison_page import write_comparison
from sfumato.report.figures.style import ReportFigure
from sfumato.report.gallery import draw_figures
from sfumato.report.page import write_report

__all__ = ["ReportFigure", "draw_figures", "write_comparison", "write_report"]
