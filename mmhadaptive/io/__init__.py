"""Files: checkpoints and pickles that run no code, whole files and folders, records, publication.

Every other package may use it. It uses none of them and changes nothing in mmengine or torch; what
it has is imported from its modules, of which some need neither.
"""
