"""The classes that programs use, in the shape of Azure's: Workspace, Datastore, Dataset, Model, compute targets, Run.

They are faces of the workspace's registries and of a job's plain data: `to_data()` of a dataset is an entry of
`inputs:`. Nothing here runs anything. What Azure has and this has no use for is kept as attributes, and told of.
"""
