"""What is done against those who try too often, and those who are no people."""
