"""Everything that decodes or encodes an image for the web: done by child processes.

`cleaning`, `encoding` and `noising` run in the child (`child.py`), which has little memory, little
time and nothing of the studio's: no database, no storage, no Django. `decoders` runs in the web
process and hands out turns. The web process itself never decodes what a stranger sent.
"""
