"""A WeChat of our own: phones, API, pushes, faults and a clock, speaking the real protocol over HTTP.

It stands in for WeChat in the demo and in every test of the protocol. It imports nothing of the app, not even its
cryptography: two implementations that agree by accident are rarer than one that agrees with itself.
"""
