"""Cost data for the demo and the tests: the official FOCUS sample, and a generator.

The generator invents thirteen months of Nordwind Robotics' Azure bill as FOCUS 1.2: the same
arguments give the same bytes on every machine (no libm, no clock, no set order).
"""
