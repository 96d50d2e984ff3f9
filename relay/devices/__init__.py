"""Edge receivers: their enrolment, their control links, what they are told and what they tell."""
