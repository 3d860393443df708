"""The word lists and the invented words from which `values` draws; no list holds a fact about any real company."""

from random import Random

_ONSETS = "b b c d d f g h j k k l l l m m n n p p r r r s s t t v v w z br ch dr fl gr pl sh sk st th tr".split()
_VOWELS = "a a a e e e i i o o u ai ea ou".split()
_CODAS = ["", "", "", "", *"l m n n r r s t nd st".split()]
_ENDINGS = "a o us on en er ix is ia um el io ora ant eo".split()


def invent_word(rng: Random) -> str:
    """Invent a capitalised, pronounceable word that is (most likely) no word: 'Velora', 'Thraskon'."""
    middle = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.choice((1, 1, 2))))
    return (middle + rng.choice(_ONSETS) + rng.choice(_ENDINGS)).capitalize()[:11]


def invent_town(rng: Random) -> str:
    """Invent a town's name: 'Kelbridge', 'Port Mova'."""
    stem = (rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(("l", "n", "r", "s", "rn", "st", "m"))).capitalize()
    if rng.random() < 0.2:
        return f"{rng.choice(('Port', 'New', 'North', 'Upper', 'Bad', 'San', 'Saint'))} {stem}{rng.choice(('a', 'o', 'en', 'is'))}"
    return stem + rng.choice(
        ("bridge", "field", "ford", "ham", "mouth", "ton", "burg", "stad", "wick", "dale", "ville", "haven", "port", "grad", "by")
    )


def draw_brand(rng: Random) -> str:
    """Draw the name in front of a product's noun: a word, sometimes with a model: 'Orbit', 'Halden Mini', 'Terra 300'."""
    word = rng.choice(BRAND_WORDS) if rng.random() < 0.5 else invent_word(rng)
    roll = rng.random()
    if roll < 0.15:
        return f"{word} {rng.choice(MODEL_WORDS)}"
    if roll < 0.35:
        return f"{word} {_draw_model_number(rng)}"
    return word


def _draw_model_number(rng: Random) -> str:
    letter = rng.choice(("", "", "X", "S", "V", "T", "M"))
    return f"{letter}{rng.choice((rng.randint(2, 99), rng.randint(1, 9) * 100))}"


BRAND_WORDS = """Alto Amber Anchor Apex Arbor Aspen Atlas Aurora Basalt Beacon Birch Bolt Breeze Brook Canyon Cedar Cinder Clover Cobalt
Comet Coral Cove Crest Delta Drift Dune Echo Ember Fable Falcon Fern Fjord Flint Forge Gale Garnet Glacier Granite Grove Halo Harbor
Haven Hazel Heron Horizon Indigo Iris Ivory Jade Juniper Kestrel Lantern Lark Linden Lotus Luna Lynx Magnet Maple Marlin Meadow Mercury
Mesa Mistral Mosaic Nectar Nimbus Nova Oasis Olive Onyx Opal Orbit Orchid Osprey Otter Pearl Pebble Pine Piper Pixel Prairie Prism Pulse
Quartz Quill Raven Reef Ridge Ripple River Robin Rowan Saffron Sage Sierra Signal Silver Slate Solar Sonic Spark Sparrow Spruce Stella
Stone Summit Swift Terra Thistle Tidal Timber Topaz Tundra Umber Valley Vega Velvet Vertex Violet Vista Willow Wren Zephyr Zenith""".split()
MODEL_WORDS = "Mini Max Plus Pro Lite Air Duo Go Classic Compact Ultra Home Sport Flex Touch Neo".split()
PRODUCT_NOUNS = """kettle|toaster|lamp|desk lamp|blender|mixer|vacuum|backpack|suitcase|tent|jacket|chair|desk|mattress|pillow|bottle|knife set|pan|
coffee machine|grinder|heater|fan|humidifier|air purifier|scale|iron|hair dryer|shaver|drill|ladder|bicycle|helmet|scooter|tripod|blanket|
curtain|shelf|sofa|rug|watch|umbrella|stroller|playpen|grill|smoker|lunch box|juicer|rice cooker|dehumidifier|steam mop""".replace(
    "\n", ""
).split("|")
DEVICE_NOUNS = """speaker|router|camera|doorbell|thermostat|tablet|headphones|earbuds|printer|scanner|monitor|keyboard|mouse|smart plug|smart lock|
watch|tracker|hub|bridge|vacuum robot|projector|soundbar|TV stick|e-reader|phone|laptop|dash cam|baby monitor|weather station|scale|
light strip|alarm panel|sensor|garage opener|power bank|charger|mower|air purifier|dongle|radio""".replace("\n", "").split("|")
PLAN_WORDS = """Basic Starter Solo Plus Pro Premium Family Team Business Enterprise Growth Studio Essential Standard Advanced Personal Silver Gold
Platinum Bronze Student Freelance Agency Scale Unlimited Lite Core Max Flex Home Office Creator Founder Classic Comfort Power Smart""".split()
PLAN_SUFFIXES = "Plus Max XL 2 100 500 Annual Lite Pro Duo".split()
CITIES = """London|Manchester|Leeds|Bristol|Glasgow|Cardiff|Dublin|Paris|Lyon|Marseille|Toulouse|Nantes|Bordeaux|Berlin|Hamburg|Munich|Cologne|
Leipzig|Dresden|Stuttgart|Bremen|Vienna|Graz|Zurich|Geneva|Basel|Bern|Rome|Milan|Turin|Naples|Bologna|Florence|Madrid|Barcelona|Valencia|
Seville|Bilbao|Malaga|Lisbon|Porto|Brussels|Antwerp|Ghent|Amsterdam|Rotterdam|Utrecht|Copenhagen|Aarhus|Oslo|Bergen|Stockholm|Malmo|Gothenburg|
Helsinki|Tampere|Tallinn|Riga|Vilnius|Warsaw|Krakow|Gdansk|Prague|Brno|Bratislava|Budapest|Zagreb|Ljubljana|Athens|Sofia|Bucharest|Istanbul|
Ankara|Cairo|Casablanca|Tunis|Lagos|Accra|Nairobi|Cape Town|Durban|Dubai|Doha|Mumbai|Delhi|Pune|Chennai|Bangkok|Singapore|Hanoi|Manila|Jakarta|
Seoul|Busan|Tokyo|Osaka|Kyoto|Taipei|Sydney|Melbourne|Brisbane|Perth|Auckland|Wellington|New York|Boston|Chicago|Denver|Dallas|Austin|Houston|
Seattle|Portland|Phoenix|Atlanta|Miami|Orlando|Detroit|Cleveland|Columbus|Nashville|Memphis|San Diego|San Jose|Oakland|Toronto|Montreal|Ottawa|
Vancouver|Calgary|Halifax|Mexico City|Monterrey|Bogota|Lima|Quito|Santiago|Montevideo|Buenos Aires|Cordoba|Recife|Salvador|Curitiba|Springfield|
Richmond|Oxford|Cambridge|York|Exeter|Norwich|Derby|Aberdeen|Dundee|Belfast|Galway|Limerick|Lille|Rennes|Kiel|Bonn|Ulm|Mainz|Linz|
Salzburg|Verona|Padua|Genoa|Granada|Toledo|Braga|Leuven|Delft|Odense|Uppsala|Turku""".replace("\n", "").split("|")
COUNTRIES = """Austria|Belgium|Bulgaria|Croatia|Cyprus|Denmark|Estonia|Finland|France|Germany|Greece|Hungary|Iceland|Ireland|Italy|Latvia|Lithuania|
Luxembourg|Malta|the Netherlands|Norway|Poland|Portugal|Romania|Serbia|Slovakia|Slovenia|Spain|Sweden|Switzerland|Turkey|Ukraine|the UK|Scotland|
Canada|the United States|Mexico|Brazil|Argentina|Chile|Peru|Colombia|Japan|South Korea|Taiwan|Singapore|Malaysia|Thailand|Vietnam|India|Australia|
New Zealand|South Africa|Kenya|Ghana|Morocco|Egypt|Israel|Qatar|Kuwait|Oman|Jordan|Nepal|Fiji|Panama|Ecuador|Uruguay|Bolivia|Albania|Georgia|
Armenia|Moldova|Monaco|Andorra|Jamaica|Cuba|Costa Rica|the Philippines|Indonesia|Sri Lanka|Tunisia|Senegal|Namibia|Botswana|Greenland""".replace(
    "\n", ""
).split("|")
APPS = """Slack|Google Calendar|Outlook|Trello|Asana|Notion|Jira|Dropbox|Google Drive|OneDrive|Zoom|Teams|Salesforce|HubSpot|Zapier|Shopify|
WordPress|Mailchimp|Stripe|QuickBooks|Xero|Airtable|Evernote|Todoist|GitHub|GitLab|Discord|Telegram|WhatsApp|Alexa|Google Home|Apple Health|
Spotify|Figma|Miro|ClickUp|Zendesk|Intercom|Excel|Google Sheets|Basecamp|Pipedrive|Webflow|Wix|Strava|Garmin|HomeKit|IFTTT|SAP""".replace(
    "\n", ""
).split("|")
METHODS = """PayPal|Apple Pay|Google Pay|Klarna|Visa|Mastercard|American Express|a bank transfer|direct debit|cash|a debit card|a gift card|invoice|
iDEAL|SEPA|Venmo|Amazon Pay|Bitcoin|a cheque|Maestro|Discover|Afterpay|Sofort|giropay|Alipay|WeChat Pay|a prepaid card|cash on delivery|Cash App|
Revolut|a credit card|Swish|Twint|Bancontact|instalments|Diners Club|Skrill|Payoneer|Zelle|store credit""".replace("\n", "").split("|")
SERVICE_THINGS = """boiler|heating|solar panel|kitchen|washing machine|dishwasher|smart home|alarm system|network|air conditioning|wallbox|bike|window|
roof|chimney|water filter|garden|furniture|home office|security camera|fridge|oven|gutter|carpet|piano|heat pump|doorbell|router|lock|lamp|freezer""".replace(
    "\n", ""
).split("|")
SERVICE_ACTS = "inspection|installation|consultation|repair|cleaning|check|fitting|survey|setup|service|maintenance|training|tune-up|measurement".split(
    "|"
)
PROMO_WORDS = """SAVE SPRING SUMMER WINTER AUTUMN HELLO WELCOME FRIEND FLASH VIP BLACK SUNNY LUCKY EXTRA DEAL BDAY THANKS HOLIDAY FRESH NEW SHIP SALE
STAR TEN LOVE BACK EARLY NIGHT CYBER MAY JULY FAM""".split()

MAILBOXES = "help support service returns billing care hello team orders privacy accounts repairs sales desk office".split()
URL_PATHS = "help returns status start contact repairs orders support claim track keys forms guide privacy prices seats booking import parts".split()
MENU_TOP = """Settings|Account|Profile|Preferences|My account|Help|Menu|Dashboard|Control panel|Workspace|My page|Options|Admin|Service|Home|More|
Customer area|My space|Toolbox|Overview""".replace("\n", "").split("|")
MENU_MIDDLE = """Security|Billing|Orders|Privacy|Payments|Team|Members|Devices|Data|Subscription|Plans|Notifications|Sign-in|Integrations|Returns|
Repairs|Bookings|Invoices|Wallet|Personal details|Communication|System|Storage|Access|Requests|Purchases|Connections|Usage|Advanced|General""".replace(
    "\n", ""
).split("|")
MENU_LAST = """Manage|Edit|Details|History|Options|Change|Advanced|Add new|Tools|Status|Overview|Reset|Export|Archive|Active|Limits|Requests|
Schedule|Preferences|New request""".replace("\n", "").split("|")
BUTTONS = """Save changes|Confirm|Continue|Start now|Send request|New request|Get help|Edit|Manage|Update|Change|Add new|Request a copy|
Send again|Next step|Begin|Apply|Submit|Open form|Check now|Restore|Switch|Select|Details|More options|Accept|Finish|Try again|
Get link|Create|Move|Download|Contact us|Reserve|Review|Send|Open""".replace("\n", "").split("|")
STREET_FIRST = """Mill Church Station High Park River Queen King Market Bridge Garden Castle Harbor Chapel School Victoria North South Oak Elm Maple
Cedar Lake Hill Forest Mason Baker Weaver Potter Canal Dock Abbey Priory Meadow Orchard""".split()
STREET_LAST = "Street Lane Road Avenue Square Way Row Court Place Walk Gate Drive".split()
SIZES = (2, 4, 5, 8, 10, 15, 20, 25, 30, 40, 50, 64, 80, 100, 150, 200, 250, 500, 750)
COLORS = "red blue green white orange yellow purple amber".split()
REGIONS = """Ireland|Germany|the Netherlands|France|Finland|Sweden|Norway|Switzerland|Canada|Japan|Singapore|Australia|Spain|Italy|Poland|Belgium|
Iceland|Portugal|Austria|Denmark|the United States|Brazil|India|South Korea""".replace("\n", "").split("|")
TEAMS = """the returns desk|the billing team|the service team|the repair workshop|the customer desk|the security team|the privacy office|the order desk|
the shipping team|the accounts team|the technical team|the booking desk|the sales team|the care team|the warranty team|the front office""".replace(
    "\n", ""
).split("|")
PARTS = """the power button|the reset button|the side button|the set key|the mode key|the top button|the volume-down key|the pairing key|
the menu key|the round button|the switch on the bottom|the home button|the button under the cover|the plus key""".replace("\n", "").split(
    "|"
)
DOCUMENTS = """the order number|the receipt|a photo of the receipt|the serial number|your customer number|the invoice number|a photo of the damage|
the packing slip|the delivery note|an ID card|the last four digits of your card|a short video|the warranty card|the confirmation mail|the case number|
a copy of the invoice|a photo of the label""".replace("\n", "").split("|")
COMPANIES_LAST = "Home Labs Works Cloud Tools Goods Living Systems Energy Mobile Audio Garden Sports Office Tech".split()
PERSONAS = """Mia Leo Ada Noor Sam Kim Iris Theo Luna Max Zoe Finn Ella Otto Nia Jonas Ruby Emil Clara Hugo Maya Oscar Lina Nils Alma Ravi Tara Ben Yuki
Anna Ivy Milo Rosa Aria Felix Greta Omar Lea Kai Vera""".split()


def invent_company(rng: Random) -> str:
    """Invent a company's name: 'Velora', 'Nimbus Labs'."""
    word = rng.choice(BRAND_WORDS) if rng.random() < 0.3 else invent_word(rng)
    return f"{word} {rng.choice(COMPANIES_LAST)}" if rng.random() < 0.4 else word
