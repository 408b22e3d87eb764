"""``python -m mmssl`` is the command ``mmssl``."""

from mmssl.commands import main

if __name__ == '__main__':
    main()
