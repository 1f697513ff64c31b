"""What an operator can measure: counted in plain numbers on the way of requests, gathered from all workers."""
