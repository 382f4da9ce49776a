"""Ordinary days: when and where people use their cards, and when they sign in. Drawn for all people at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import DAY_MS, HOUR_MS, TownConfig
from streams.town.people import CREDIT, DEBIT, Person
from streams.town.places import COUNTRIES, Floats, Ints, Places, district_name
from streams.town.truth import Truth

_FAVOURITES: Final = 8
_SHOPS: Final = 3
# Wrong PIN, no connection: honest purchases that are declined all the same.
_REFUSED: Final = 0.005
# How often the first, second, ... favourite is chosen.
_RANKED: Final = np.cumsum((1 / np.arange(1, _FAVOURITES + 1)) / (1 / np.arange(1, _FAVOURITES + 1)).sum())


def _draw(popularity: Floats, u: Floats) -> Ints:
    """Places for uniform draws `u`, the popular ones more often."""
    edges = np.cumsum(popularity / popularity.sum())
    return np.minimum(np.searchsorted(edges, u), len(popularity) - 1).astype(np.int64)


class Habits:
    """What each person likes: fixed for the town, but for `spend` and `away`, which events of life change."""

    def __init__(self, config: TownConfig, people: list[Person], places: Places, rng: np.random.Generator) -> None:
        self._people = people
        self._places = places
        n = len(people)
        firm = np.array([p.firm for p in people], dtype=bool)
        income = np.array([p.income_minor for p in people], dtype=np.float64)
        self.rate = np.where(firm, 0.8, rng.lognormal(np.log(2.1), 0.35, size=n))
        # How dear things are for them: with the income, and with taste.
        self.level = np.where(firm, 1.0, 0.7 * np.log(income / 240_000) + rng.normal(-0.5, 0.22, size=n))
        # 1 is ordinary; less when money is short or a customer lies low.
        self.spend = np.ones(n)
        # Country they are in, a number of `COUNTRIES`; -1 is home.
        self.away = np.full(n, -1, dtype=np.int64)
        self._weekend = rng.uniform(0.5, 1.6, size=n)
        self._weekend[firm] = 0.05
        self._online = rng.beta(2, 8, size=n)
        self._cash = rng.uniform(0.01, 0.08, size=n)
        self._night = rng.beta(1, 30, size=n)
        self._curious = rng.uniform(0.03, 0.12, size=n)
        self._lunch = rng.normal(12.5, 1.0, size=n)
        self._evening = rng.normal(18.3, 1.2, size=n)
        self._credit = np.where([p.line is not None for p in people], rng.uniform(0.3, 0.9, size=n), 0.0)
        self._logins = np.where(firm, 1.5, rng.lognormal(np.log(1.0), 0.4, size=n))
        self._false_report = config.false_report_ratio
        self._favourites = self._choose(places, rng)
        self._favourite_shops = _draw(places.shop_popularity, rng.random((n, _SHOPS)).ravel()).reshape(n, _SHOPS)
        district = {district_name(d): d for d in range(config.districts)}
        self._home = np.array([district[p.district] for p in people], dtype=np.int64)

    def _choose(self, places: Places, rng: np.random.Generator) -> Ints:
        # Three of four favourites are in one's own district, the rest anywhere.
        n = len(self._people)
        chosen = _draw(places.door_popularity, rng.random(n * _FAVOURITES)).reshape(n, _FAVOURITES)
        near = rng.random((n, _FAVOURITES)) < 0.75
        u = rng.random((n, _FAVOURITES))
        number = {p.district: 0 for p in self._people}
        for name in number:
            number[name] = int(name.rpartition("_")[2]) - 1
        home = np.array([number[p.district] for p in self._people])
        for d in sorted(number.values()):
            local = np.flatnonzero(places.door_district == d)
            mine = home == d
            if len(local):
                picks = local[_draw(places.door_popularity[local], u[mine].ravel())].reshape(-1, _FAVOURITES)
                chosen[mine] = np.where(near[mine], picks, chosen[mine])
        return chosen

    def traffic(self) -> Floats:
        """Visits a day to expect at each terminal, from favourites alone."""
        share = np.diff(_RANKED, prepend=0.0)
        weight = self.rate[:, None] * share[None, :]
        visits = np.bincount(self._favourites.ravel(), weight.ravel(), minlength=len(self._places.doors))
        return visits.astype(np.float64)

    def day(self, start_ms: int, rng: np.random.Generator, agenda: Agenda, bank: Bank, truth: Truth) -> None:
        """Enter one day's purchases and sign-ins."""
        weekend = (start_ms // DAY_MS + 3) % 7 >= 5
        rate = self.rate * self.spend * (self._weekend if weekend else 1.0)
        rate = np.where(self.away >= 0, rate * 1.4, rate) * self._means()
        self._purchases(start_ms, rate, rng, agenda, bank, truth)
        self._sign_ins(start_ms, rng, agenda, bank)

    def _means(self) -> Floats:
        # People look at their account: with little left they buy less, so that an honest card is rarely declined.
        left = [(p.balance_minor + p.overdraft_minor * 0.4) / (p.income_minor + 1) for p in self._people]
        return np.clip(np.array(left) * 2.0, 0.15, 1.1)

    def _purchases(
        self, start_ms: int, rate: Floats, rng: np.random.Generator, agenda: Agenda, bank: Bank, truth: Truth
    ) -> None:
        who = np.repeat(np.arange(len(rate)), rng.poisson(rate))
        total = len(who)
        u = rng.random((8, total))
        z = rng.standard_normal((2, total))
        away = self.away[who]
        online = u[0] < self._online[who]
        cash = ~online & (u[0] > 1 - self._cash[who])
        favourite = np.minimum(np.searchsorted(_RANKED, u[1]), _FAVOURITES - 1)
        door = self._favourites[who, favourite]
        door = np.where(u[2] < self._curious[who], _draw(self._places.door_popularity, u[1]), door)
        shop = self._favourite_shops[who, (u[3] * _SHOPS).astype(np.int64)]
        shop = np.where(u[2] < 2 * self._curious[who], _draw(self._places.shop_popularity, u[1]), shop)
        machine = self._home[who] * 2 + (u[3] < 0.3)
        peak = np.where(u[4] < 0.45, self._lunch[who], self._evening[who])
        hour = np.clip(peak + 2.2 * z[0], 6.0, 23.9)
        hour = np.where(u[5] < self._night[who], u[4] * 6, hour)
        time_ms = start_ms + (hour * HOUR_MS).astype(np.int64)
        factor = np.exp(self.level[who] + 0.45 * z[1])
        room = np.array([p.line is not None and p.line.used_minor < p.line.limit_minor * 0.8 for p in self._people])
        slot = np.where((u[6] < self._credit[who]) & ~cash & room[who], CREDIT, DEBIT)
        reported = u[7] < self._false_report
        refused = u[7] > 1 - _REFUSED
        people, places = self._people, self._places
        enter = agenda.today
        for t, i, o, c, a, d, s, m, f, card, wrong, no, k in zip(
            time_ms.tolist(), who.tolist(), online.tolist(), cash.tolist(), away.tolist(), door.tolist(),
            shop.tolist(), machine.tolist(), factor.tolist(), slot.tolist(), reported.tolist(), refused.tolist(),
            u[3].tolist(),
            strict=True,
        ):  # fmt: skip
            if o:
                place = places.shops[s]
            elif a >= 0:
                # Whoever is in a strange town goes to a handful of places again and again.
                place = places.abroad[a][(i * 7 + int(k * k * 12)) % len(places.abroad[a])]
            else:
                place = places.cash[m] if c else places.doors[d]
            amount = int(place.typical_minor * f) + 1
            if c and not o:
                amount = max(2_000, amount // 1_000 * 1_000)
            if wrong:
                enter(t, truth.mistaken_purchase, people[i], card, amount, place, k)
            else:
                enter(t, bank.purchase, people[i], card, amount, place, None, no)

    def _sign_ins(self, start_ms: int, rng: np.random.Generator, agenda: Agenda, bank: Bank) -> None:
        who = np.repeat(np.arange(len(self._people)), rng.poisson(self._logins))
        u = rng.random((2, len(who)))
        hour = 6.5 + 16.5 * (u[0] + u[0] ** 2) / 2
        time_ms = (start_ms + hour * HOUR_MS).astype(np.int64).tolist()
        away = self.away[who].tolist()
        for t, i, a, v in zip(time_ms, who.tolist(), away, u[1].tolist(), strict=True):
            person = self._people[i]
            country = COUNTRIES[a][0] if a >= 0 else "FR"
            channel = "mobile" if v < 0.85 and not person.firm else "online"
            # Everyone mistypes a password now and then.
            if v * 1000 % 1 < 0.025:
                agenda.today(t, bank.login, person, False, channel, None, country)
                t += 25_000
            agenda.today(t, bank.login, person, True, channel, None, country)
