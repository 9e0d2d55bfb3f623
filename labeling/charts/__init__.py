"""Charts as geometry: pure functions give coordinates, templates draw them as inline SVG.

So labels are escaped and translated where all text is, and no script and no inline style is
needed. Coordinates are strings, since templates write numbers in the reader's language.
"""
