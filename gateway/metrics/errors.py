"""What can keep a worker from being measured."""


class MetricsFolderUnusable(Exception):
    """The folder of the metrics cannot be made or written: the worker must not start, since nobody could watch it."""
