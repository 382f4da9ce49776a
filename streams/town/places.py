"""Where money is spent: merchants and terminals of the town's districts, online shops, cash machines, abroad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.town.config import CURRENCY, HOME, TownConfig

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Merchant category code, how common, typical amount in minor units.
_DOORS: Final = (
    ("5411", 0.30, 2600), ("5814", 0.20, 700), ("5812", 0.14, 2200), ("4111", 0.08, 320), ("5541", 0.08, 4200),
    ("5912", 0.08, 1500), ("5651", 0.07, 4500), ("5732", 0.03, 9000), ("5712", 0.02, 11000),
)  # fmt: skip
_ONLINE: Final = (("5964", 0.45, 3200), ("5815", 0.25, 900), ("5732", 0.15, 7500), ("4722", 0.15, 9500))
# Country, currency, units of it for one euro.
COUNTRIES: Final = (
    ("ES", "EUR", 1.0), ("IT", "EUR", 1.0), ("DE", "EUR", 1.0), ("GB", "GBP", 0.85), ("US", "USD", 1.08),
    ("CH", "CHF", 0.94), ("TR", "TRY", 38.0),
)  # fmt: skip
RATES: Final = {CURRENCY: 1.0} | {currency: rate for _, currency, rate in COUNTRIES}
_ABROAD_EACH: Final = 40


class Place(NamedTuple):
    """A point of sale; `terminal_id` is `None` online, `merchant_id` at a cash machine."""

    merchant_id: str | None
    terminal_id: str | None
    mcc: str
    country: str
    currency: str
    district: str | None
    typical_minor: int


@dataclass(frozen=True, slots=True)
class Places:
    """Every place of a town, with how popular it is."""

    doors: tuple[Place, ...]
    door_district: Ints
    door_popularity: Floats
    shops: tuple[Place, ...]
    shop_popularity: Floats
    cash: tuple[Place, ...]
    abroad: tuple[tuple[Place, ...], ...]


def district_name(number: int) -> str:
    """The name of a district, as it stands in events."""
    return f"district_{number + 1:02d}"


def _ranked(count: int, power: float) -> Floats:
    # Zipf: the second is 2^-power as popular as the first.
    ranks: Floats = np.arange(1, count + 1, dtype=np.float64)
    return np.asarray(ranks**-power, dtype=np.float64)


def build(config: TownConfig, rng: np.random.Generator) -> Places:
    """Lay out the town. Every merchant with a door has at least one terminal; the spare ones go to the popular."""
    door_count = config.merchant_count - config.shop_count
    popularity = _ranked(door_count, 0.7)
    rng.shuffle(popularity)
    kinds = rng.choice(len(_DOORS), size=door_count, p=[share for _, share, _ in _DOORS])
    # The first few cover every district, so that nobody lives where there is no shop.
    district = np.concatenate(
        [np.arange(config.districts), rng.integers(0, config.districts, size=max(0, door_count - config.districts))]
    )[:door_count]
    spare = rng.choice(door_count, size=config.terminal_count - door_count, p=popularity / popularity.sum())
    owner = np.concatenate([np.arange(door_count), spare])
    share = popularity / np.bincount(owner, minlength=door_count)
    doors = tuple(
        Place(f"m_{m:05d}", f"term_{t:05d}", _DOORS[kinds[m]][0], HOME, CURRENCY, district_name(int(district[m])),
              _DOORS[kinds[m]][2])
        for t, m in enumerate(owner.tolist())
    )  # fmt: skip
    online = rng.choice(len(_ONLINE), size=config.shop_count, p=[p for _, p, _ in _ONLINE])
    shops = tuple(
        Place(f"m_{door_count + k:05d}", None, _ONLINE[o][0], HOME, CURRENCY, None, _ONLINE[o][2])
        for k, o in enumerate(online.tolist())
    )
    cash = tuple(
        Place(None, f"atm_{d + 1:02d}_{k}", "6011", HOME, CURRENCY, district_name(d), 6000)
        for d in range(config.districts)
        for k in range(2)
    )
    abroad = tuple(
        tuple(
            Place(f"m_{country}_{k:03d}", f"term_{country}_{k:03d}", _DOORS[k % 7][0], country, currency, None,
                  round(_DOORS[k % 7][2] * 1.3))
            for k in range(_ABROAD_EACH)
        )
        for country, currency, _ in COUNTRIES
    )  # fmt: skip
    return Places(
        doors,
        district[owner].astype(np.int64),
        share[owner],
        shops,
        _ranked(config.shop_count, 0.8),
        cash,
        abroad,
    )
