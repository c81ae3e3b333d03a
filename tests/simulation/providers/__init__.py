"""
Scripted stand-ins, one for each wire format: they read real requests, give real answers and make
real webhooks.
"""
