"""The workspace: what runs share by name. Models, datasets and datastores, each with versions.

    home (a folder) --> catalogue (one file a version) --> models, datasets, datastores

Light and low: programs, commands and executors use it alike, many at once. `mpibatch.sdk` has the classes of programs.
"""
