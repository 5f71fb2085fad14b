"""The sections of the module's widget."""
