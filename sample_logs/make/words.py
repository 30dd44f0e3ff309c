"""The words that tasks are made of; where two stand together, the second is what a call needs."""

from __future__ import annotations

Said = tuple[tuple[str, str], ...]
Counted = tuple[tuple[str, int], ...]

EVENTS = (
    "dentist", "parents' evening", "budget review", "swimming lesson", "car inspection",
    "interview with Mara", "choir practice", "sprint demo", "moving van", "blood test",
    "pottery class", "site visit", "book club", "roof repair", "tax advice", "piano tuning",
    "board meeting", "yoga", "vet with Pepper", "farewell lunch",
)  # fmt: skip
CHORES = (
    "renew the passport", "water the ferns", "pay the gas bill", "return the library books",
    "call the landlord", "change the filter", "buy a birthday card", "back up the laptop",
    "defrost the freezer", "cancel the gym", "sharpen the skates", "send the invoice",
    "check the tyres", "pick up the parcel", "book the ferry", "clean the gutter",
    "order firewood", "descale the kettle", "file the receipts", "vaccinate the cat",
)  # fmt: skip
PRIORITIES: Said = (
    ("Very important.", "high"), ("Top priority.", "high"), ("This is critical.", "high"),
    ("Low priority.", "low"), ("Not important.", "low"), ("No hurry.", "low"),
)  # fmt: skip
MONEY: Said = (
    ("euros", "EUR"), ("dollars", "USD"), ("yen", "JPY"), ("pounds", "GBP"),
    ("Swiss francs", "CHF"), ("zloty", "PLN"), ("Swedish kronor", "SEK"), ("rupees", "INR"),
    ("Canadian dollars", "CAD"), ("pesos", "MXN"), ("Turkish lira", "TRY"), ("rand", "ZAR"),
)  # fmt: skip
CITIES = (
    "Lisbon", "Tampere", "Graz", "Osaka", "Leeds", "Quito", "Nantes", "Bergen", "Tbilisi",
    "Perth", "Halifax", "Turin", "Accra", "Split", "Boise", "Malmo", "Ghent", "Cusco",
    "Oslo", "Izmir", "Pune", "Davao", "Kyoto", "Denver",
)  # fmt: skip
SPANS: Counted = (
    ("today", 1), ("the next two days", 2), ("three days", 3), ("the next four days", 4),
    ("5 days", 5), ("six days", 6), ("the whole week", 7), ("one week", 7),
)  # fmt: skip
SCALES: Said = (
    ("In Celsius", "metric"), ("Metric units", "metric"),
    ("In Fahrenheit", "imperial"), ("American units", "imperial"),
)  # fmt: skip
ITEM_WISHES: tuple[tuple[str, bool], ...] = (
    ("List what is in it.", True), ("Show the items too.", True), ("With its contents.", True),
    ("I don't need the items.", False), ("Just the status.", False), ("No item list.", False),
)  # fmt: skip
PEOPLE = (
    "ines.koch", "t.abara", "joon", "m.silva", "rachel.o", "petrov", "lena", "d.mbeki",
    "hr", "kim.l", "office", "sven.dahl", "n.rao", "carla", "support", "yusuf.k",
)  # fmt: skip
HOSTS = ("example.com", "example.org", "mail.example.net")
SUBJECTS = (
    "Invoice 88", "Friday's lunch", "New keys", "Minutes of Monday", "Two days off", "Blue paint",
    "Server room", "Contract, page four", "Broken chair", "Slides for May", "The cake", "Parking",
    "Visit of the Larsens", "Heating in room 12",
)  # fmt: skip
ROOMS: Said = (
    ("living room", "living"), ("lounge", "living"), ("bedroom", "bed"), ("bed room", "bed"),
    ("office", "office"), ("study", "office"), ("bathroom", "bath"), ("bath", "bath"),
)  # fmt: skip
PLACES = (
    "Blue Lantern", "Casa Ondo", "The Old Mill", "Noodle Yard", "Fig & Salt", "Harbour Nine",
    "Zum Hirsch", "Petit Four", "Saffron Hall", "Kiln", "Maple Corner", "La Brasa",
)  # fmt: skip
NUMBERS: Counted = (
    ("two", 2), ("three", 3), ("four", 4), ("5", 5), ("six", 6), ("7", 7), ("eight", 8),
    ("ten", 10), ("a dozen", 12),
)  # fmt: skip
TOPICS = (
    "budget", "holiday", "warranty", "insulation", "garden", "payroll", "wedding", "solar",
    "lease", "recipes", "marathon", "inventory", "choir", "logo", "survey", "kitchen",
)  # fmt: skip
KINDS: Said = (
    ("PDFs", "pdf"), ("PDF files", "pdf"), ("photos", "image"), ("pictures", "image"),
    ("spreadsheets", "sheet"), ("tables", "sheet"),
)  # fmt: skip
TIMERS = (
    "eggs", "pasta", "laundry", "tea", "bread", "plank", "parking", "oven", "meditation",
    "glue", "hair dye", "nap", "rice", "face mask",
)  # fmt: skip
DURATIONS: Counted = (
    ("two minutes", 2), ("3 minutes", 3), ("five minutes", 5), ("7 minutes", 7),
    ("ten minutes", 10), ("12 minutes", 12), ("a quarter of an hour", 15), ("25 minutes", 25),
    ("half an hour", 30), ("one hour", 60), ("two hours", 120),
)  # fmt: skip
PHRASES = (
    "Where is the station?", "The soup is cold.", "I lost my umbrella.", "Two tickets, please.",
    "Is this seat free?", "Call a doctor.", "My brother is a baker.", "The lift is broken.",
    "We arrive on Sunday.", "Keep the change.", "It smells of smoke.", "I am allergic to nuts.",
    "The window does not close.", "Good luck tomorrow!",
)  # fmt: skip
LANGUAGES: Said = (
    ("French", "fr"), ("German", "de"), ("Spanish", "es"), ("Italian", "it"), ("Dutch", "nl"),
    ("Polish", "pl"),
)  # fmt: skip


def ordinal(number: int) -> str:
    """1 -> 1st, 2 -> 2nd, 11 -> 11th."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
