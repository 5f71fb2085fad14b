"""The subcommands of ``flomo``, one module each.

Each module has ``register(subparsers)``, which describes its options and sets ``run``, a function
of the parsed arguments that returns the exit code. Nothing heavy is imported before ``run``.
"""
