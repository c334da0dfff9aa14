"""What comes next: the driver, the steps in their order, and the schedule."""
