"""A town of bank customers, made from a seed: ordinary life, honest oddities, planted fraud and hardship.

Start with `config.py` (everything that can be chosen) and `town.py` (the day loop). `people.py` and
`places.py` are who and where; `habits.py`, `wages.py`, `dues.py` and `oddities.py` are ordinary life;
`frauds.py`, `busts.py` and `hardship.py` plant cases that `planted.py` records; a scenario file (`scenario.py`) adds a
credit life: `strain.py` plans it, `signs.py` is how it shows. `truth.py` says later, as `outcome` events, what really
was. All of them act on `bank.py`, which keeps the accounts and writes the events, and put what happens later on
`agenda.py`.

The same configuration gives the same bytes with the same NumPy version; there is no clock here, and no I/O but
reading a scenario file.
"""

from streams.town.config import TownConfig
from streams.town.errors import TownError
from streams.town.planted import TYPOLOGIES, Planted
from streams.town.town import Town

__all__ = ["TYPOLOGIES", "Planted", "Town", "TownConfig", "TownError"]
