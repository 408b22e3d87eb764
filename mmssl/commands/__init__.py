"""The commands of ``mmssl``: one file each, with ``add_arguments`` and ``run``, which imports what is heavy."""
