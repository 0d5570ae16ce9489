"""The service by a virtual clinic's time: `bentoml serve serving.demo.service:HybridTwin`.

`hybridtwin demo` starts it. The service itself (`serving.service`) cannot be told another time.
"""

import logging

from serving import clock
from serving.demo.pace import handed
from serving.service import HybridTwin, settings

__all__ = ["HybridTwin"]

clock.follow(handed(settings))
logging.getLogger("bentoml.access").setLevel(logging.WARNING)  # the virtual people's app asks a lot
