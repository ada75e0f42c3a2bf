"""What is in force when: a subscription's plans over time, its billing periods, its terms. Pure."""
