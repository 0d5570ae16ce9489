"""The service by a virtual clinic's time: `bentoml serve serving.demo.service:HybridTwin`.

`hybridtwin demo` starts it. The service itself (`serving.service`) cannot be told another time.
"""

import logging

from serving.demo import pace
from serving.service import HybridTwin, settings

__all__ = ["HybridTwin"]

pace.follow(settings)
logging.getLogger("bentoml.access").setLevel(logging.WARNING)  # the virtual people's app asks a lot
