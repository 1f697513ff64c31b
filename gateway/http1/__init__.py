"""The outermost stages: what every request meets before anybody asks who sent it."""
