"""What Nightlatch does: one file for each verb. Start with log_in, log_out and verify."""
