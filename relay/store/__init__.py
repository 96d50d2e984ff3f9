"""What outlasts the process: devices, enrolment codes, receipts, in one SQLite file."""
