"""The registry: what is registered, what operators decide about certificates, and how a certificate is shown.

Belongs here: frames that follow from the configuration, and reading and recording in the warehouse. Does not belong here: what an
event means (`gridtokenx_pipeline.domain.certificates`), and how it looks (`gridtokenx_pipeline.cli`).
"""
