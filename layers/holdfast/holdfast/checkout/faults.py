"""What a workflow's task raises: a fault, which the workflow retries by this name; refusals are answered."""


class StepFault(Exception):
    """A step met a fault and may be taken again; its text is the fault's code, and nothing of the caller's."""
