"""Charts drawn on the server as SVG.

Elements carry classes and geometry only, never a style, so that ``style-src 'self'`` holds and the
stylesheet alone decides the colours of light and dark. Horizontal positions are percentages: a
chart takes the width it is given and its text keeps its size, from a phone to a wide screen.
"""
