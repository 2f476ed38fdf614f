"""Which folder the workspace is: MPIBATCH_HOME, else the nearest `.mpibatch` upwards, else `.mpibatch` of the user.

<home>/models|datasets|datastores/<name>/<version>.json    descriptors, see catalogue.py
<home>/models/<name>/<version>/                            a model's files
<home>/data/workspaceblobstore/                            the datastore that there always is
<home>/settings.json                                       default datastore
"""

import os
from collections.abc import Mapping
from pathlib import Path

HOME = "MPIBATCH_HOME"


def find_home(environment: Mapping[str, str], folder: Path | None = None) -> Path:
    """The workspace's folder, absolute; it need not exist. folder: where the search begins [the working directory]."""
    if named := environment.get(HOME):
        return Path(named).expanduser().absolute()
    start = (folder or Path.cwd()).absolute()
    for parent in (start, *start.parents):
        if (parent / ".mpibatch").is_dir():
            return parent / ".mpibatch"
    return Path(os.path.expanduser("~"), ".mpibatch")
