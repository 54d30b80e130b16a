"""IEEE 2030.5-2018 (Smart Energy Profile) as a library: identity, resources, XML, certificates, TLS and an async client.

Import the module that is needed (`ieee2030_5.xml`, `ieee2030_5.pki`, ...); the package itself imports nothing, so that
a process that only parses XML does not load TLS and HTTP.
"""
