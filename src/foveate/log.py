"""What a program may want to know while foveate works: one logger, "foveate", which prints nothing by default.

It is made with the first engine or file, not with `import foveate`, which stays light without `logging`.
"""

import logging

logger = logging.getLogger("foveate")
logger.addHandler(logging.NullHandler())
