"""Figures of single uses: anomalies, explanations, fairness and forecasts."""
