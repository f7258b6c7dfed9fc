"""Models that bring all codes together to the prior by maximum mean discrepancy: InfoVAE and WAE."""
