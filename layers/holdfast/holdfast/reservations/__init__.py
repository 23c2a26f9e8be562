"""The reservation engine: the only code that writes claims."""
