"""Simulated campus: buildings with solar, load and a battery, whose meters speak only IEEE 2030.5.

Physics (`weather`, `solar`, `load`, `battery`) makes integer milli-watt-hours for each interval, `meter` keeps registers,
`memory` makes them survive a restart, `device` writes the documents and `campus` posts them, each meter over its own connection.
"""
