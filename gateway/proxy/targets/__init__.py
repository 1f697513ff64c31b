"""Which target of an upstream gets a request: balancing, health, ejection, retry budgets.

All of this state belongs to one worker process. Workers do not tell each other what they have seen: each finds a dead
target by its own requests and its own checks (docs/decisions/0052).
"""
