"""Extraction of fields from short texts as JSON. The texts are generated from a seed.

Each text has values that look like the wanted ones: an earlier order, a cancelled date, a guest who
is not coming.
"""

import json
import random
import re

from suites.task import Task

MAX_TOKENS = 256

FIRST = ("Anna Ben Clara David Elif Felix Greta Hassan Irene Jonas Katja Luis Marta Nils Olga "
         "Pavel Rosa Samir Tess Viktor").split()
LAST = ("Adler Baum Costa Dietrich Ekman Fontaine Garcia Hansen Ivanova Jansen Keller Lindqvist "
        "Moreau Novak Okafor Petrov Rossi Schmid Tanaka Weber").split()
CITIES = ("Aarhus Bergen Cologne Dublin Espoo Florence Ghent Hamburg Lisbon Malaga Nantes Oslo "
          "Porto Rotterdam Seville Turin Utrecht Vienna Warsaw Zurich").split()
COMPANIES = ("Alpenwerk Brightline Cobalt Dunlin Everfield Foxglove Granite Harbour Ironbridge "
             "Juniper").split()
ITEMS = ("chair desk lamp shelf monitor keyboard printer projector whiteboard cabinet").split()
SKILLS = ("Python SQL Swift Kubernetes Terraform Excel French German welding bookkeeping").split()
SERVICES = ("billing search login export mail upload report sync").split()
DAYS = ("Monday Tuesday Wednesday Thursday Friday").split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()


class Draw:
    """Random values; a kind of value does not come twice in a text."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.used = set()

    def one(self, values):
        value = self.random.choice([v for v in values if v not in self.used])
        self.used.add(value)
        return value

    def some(self, values, low, high):
        return [self.one(values) for _ in range(self.random.randint(low, high))]

    def number(self, low, high, step=1):
        return self.one(range(low, high + 1, step))

    def person(self):
        return f"{self.one(FIRST)} {self.one(LAST)}"

    def time(self):
        return f"{self.one(range(8, 19)):02d}:{self.random.choice([0, 15, 30, 45]):02d}"

    def date(self):
        """Returns a date as (its text in a sentence, its ISO form)."""
        month, day = self.one(range(1, 13)), self.one(range(1, 29))
        return f"{MONTHS[month - 1]} {day}, 2026", f"2026-{month:02d}-{day:02d}"


def phrase(names):
    """Returns "A", "A and B" or "A, B and C"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def order(draw):
    customer, company, city, item, other = (
        draw.person(), draw.one(COMPANIES), draw.one(CITIES), *draw.some(ITEMS, 2, 2))
    amount, broken, article = draw.number(3, 40), draw.number(2, 9), draw.number(1000, 9999)
    until, last = draw.date(), draw.date()
    text = (f"Hello, {customer} from {company} here. The {broken} {other}s that came on {last[0]} "
            f"were damaged, please collect them. We now need {amount} {item}s (article "
            f"A-{article}) at our office in {city}, no later than {until[0]}. An invoice "
            "by mail is fine.")
    return text, {
        "customer": ("string", "full name of the person who writes", customer),
        "company": ("string", "company of the customer", company),
        "item": ("string", "the ordered item, in the singular", item),
        "quantity": ("integer", "how many are ordered now", amount),
        "article": ("string", "article number, with its letter", f"A-{article}"),
        "city": ("string", "where the order goes", city),
        "deliver_by": ("string", "latest date of delivery, as YYYY-MM-DD", until[1])}


def meeting(draw):
    absent, *people = draw.some(FIRST, 4, 5)
    old, new, then, now = draw.one(DAYS), draw.one(DAYS), draw.time(), draw.time()
    room, first = draw.number(101, 499), draw.number(101, 499)
    minutes = draw.number(30, 90, 15)
    text = (f"The weekly meeting is not on {old} at {then} in room {first} this time, but on {new} "
            f"at {now} in room {room}. {phrase(people)} will be there; {absent} is on holiday. "
            f"Please plan {minutes} minutes.")
    return text, {
        "day": ("string", "weekday of the meeting", new),
        "time": ("string", "when it begins, as HH:MM", now),
        "room": ("integer", "number of the room", room),
        "attendees": ("array", "first names of the people who come", people),
        "minutes": ("integer", "planned length in minutes", minutes)}


def job(draw):
    company, city, former = draw.one(COMPANIES), draw.one(CITIES), draw.one(CITIES)
    wanted, extra = draw.some(SKILLS, 2, 3), draw.one(SKILLS)
    low = draw.number(38, 70) * 1000
    high, hours, contact = low + draw.number(4, 15) * 1000, draw.number(28, 40), draw.person()
    remote = draw.random.random() < 0.5
    place = ("You can work from home on all days" if remote
             else "Working from home is not possible")
    text = (f"{company}, which moved from {former} to {city} last year, is looking for a "
            f"specialist with {phrase(wanted)}. {extra} is welcome but not needed. We pay "
            f"between {low:,} and {high:,} euros a year for {hours} hours a week. {place}. "
            f"Questions go to {contact}.")
    return text, {
        "company": ("string", "name of the employer", company),
        "city": ("string", "where the employer is now", city),
        "required_skills": ("array", "skills that are needed", wanted),
        "salary_from": ("integer", "lowest yearly salary in euros", low),
        "salary_to": ("integer", "highest yearly salary in euros", high),
        "hours": ("integer", "hours a week", hours),
        "remote": ("boolean", "whether working from home is possible", remote)}


def flight(draw):
    passenger, start, end, stop = draw.person(), *draw.some(CITIES, 3, 3)
    code = f"{draw.one(['KL', 'SK', 'TP', 'LX', 'OS'])}{draw.number(100, 999)}"
    gate, seat = f"{draw.one('ABCD')}{draw.number(1, 40)}", f"{draw.number(41, 60)}{draw.one('EF')}"
    leave, land, date = draw.time(), draw.time(), draw.date()
    price = draw.number(90, 480)
    text = (f"Dear {passenger}, your flight {code} from {start} to {end} on {date[0]} leaves at "
            f"{leave} instead of {land}. The stop in {stop} is dropped. Boarding is now at gate "
            f"{gate}; your seat {seat} stays. The price of {price} euros does not change.")
    return text, {
        "passenger": ("string", "full name of the passenger", passenger),
        "flight": ("string", "number of the flight", code),
        "from": ("string", "city of departure", start),
        "to": ("string", "city of arrival", end),
        "date": ("string", "day of the flight, as YYYY-MM-DD", date[1]),
        "departure": ("string", "new time of departure, as HH:MM", leave),
        "gate": ("string", "gate of boarding", gate)}


def incident(draw):
    host, spare = (f"{draw.one(['node', 'web', 'db'])}-{draw.number(10, 99)}" for _ in range(2))
    service, other = draw.some(SERVICES, 2, 2)
    code, minutes, solver, reporter = (
        draw.one([500, 502, 503, 504]), draw.number(4, 55), draw.one(FIRST), draw.one(FIRST))
    began, noticed = draw.time(), draw.time()
    lost = draw.random.random() < 0.5
    data = "some entries were lost" if lost else "no data was lost"
    text = (f"{reporter} noticed at {noticed} that {service} answered with status {code}. The "
            f"cause was a full disk of {host}, which had been failing since {began}; {spare} and "
            f"the {other} service were not affected. {solver} removed old logs. After {minutes} "
            f"minutes everything worked again; {data}.")
    return text, {
        "service": ("string", "service that failed", service),
        "status": ("integer", "status code of the answers", code),
        "host": ("string", "machine with the cause", host),
        "began": ("string", "since when it failed, as HH:MM", began),
        "minutes": ("integer", "minutes until everything worked again", minutes),
        "solved_by": ("string", "first name of the person who solved it", solver),
        "data_lost": ("boolean", "whether data was lost", lost)}


def invoice(draw):
    seller, buyer = draw.some(COMPANIES, 2, 2)
    number, old = draw.number(20_000, 29_999), draw.number(10_000, 19_999)
    net, tax = draw.number(200, 900, 50), draw.one([7, 19, 20])
    date, due = draw.date(), draw.date()
    items = draw.some(ITEMS, 2, 3)
    text = (f"Invoice {number} of {date[0]}, from {seller} to {buyer}: {phrase(items)}, together "
            f"{net} euros plus {tax} % tax. It replaces invoice {old}, which had a wrong address. "
            f"Please pay by {due[0]}; after that we charge 5 euros.")
    return text, {
        "number": ("integer", "number of this invoice", number),
        "seller": ("string", "company that sends the invoice", seller),
        "buyer": ("string", "company that pays", buyer),
        "items": ("array", "the items, as in the text", items),
        "net": ("integer", "amount in euros without tax", net),
        "tax_percent": ("integer", "rate of the tax", tax),
        "pay_by": ("string", "latest day of payment, as YYYY-MM-DD", due[1])}


KINDS = (order, meeting, job, flight, incident, invoice)


def schema(fields):
    types = {"array": {"type": "array", "items": {"type": "string"}}}
    return {
        "type": "object", "additionalProperties": False, "required": list(fields),
        "properties": {name: dict(types.get(kind, {"type": kind}), description=meaning)
                       for name, (kind, meaning, _) in fields.items()}}


def load(count, seed):
    """Returns `count` tasks, of each kind in turn."""
    return [_task(number, seed) for number in range(count)]


def _task(number, seed):
    kind = KINDS[number % len(KINDS)]
    text, fields = kind(Draw(f"{seed}/extraction/{number}"))
    expected = {name: value for name, (_, _, value) in fields.items()}
    wanted = "\n".join(f"- {name} ({kind}): {meaning}"
                       for name, (kind, meaning, _) in fields.items())
    return Task(
        suite="json", number=number, label=kind.__name__,
        prompt=f"Extract these fields from the text as one JSON object:\n{wanted}\n\nText: {text}",
        expected=json.dumps(expected, ensure_ascii=False), max_tokens=MAX_TOKENS,
        judge=lambda text: score(text, expected), vote=canonical,
        form={"response_format": {"type": "json_schema", "json_schema": {
            "name": kind.__name__, "strict": True, "schema": schema(fields)}}})


def value(text):
    """Returns the only JSON value of a text, or None. A code fence around it is allowed."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n\s*```\s*", text, re.DOTALL)
    try:
        return json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None


def normal(found):
    """Returns the form in which two values of a field are compared."""
    if isinstance(found, str):
        return re.sub(r"\s+", " ", found).strip().casefold()
    if isinstance(found, list):
        return sorted(json.dumps(normal(item), sort_keys=True) for item in found)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found


def score(text, expected):
    """Returns the share of fields with the right value. The order of a list does not matter."""
    found = value(text)
    if not isinstance(found, dict):
        return 0.0
    right = sum(
        name in found and type(normal(found[name])) is type(normal(wanted))
        and normal(found[name]) == normal(wanted) for name, wanted in expected.items())
    return right / len(expected)


def canonical(text):
    found = value(text)
    if not isinstance(found, dict):
        return None
    return json.dumps({name: normal(item) for name, item in found.items()}, sort_keys=True)
