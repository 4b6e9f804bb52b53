--- What the town is made of. Values that have to be looked up come from sets of dozens of words, or
--- are made up: closed sets of ten teach a model to guess.
local words = {}

local function list(s)
  local out = {}
  for w in s:gmatch "%S+" do out[#out + 1] = w end
  return out
end
words.list = list

-- names: three syllables
words.first = list [[Ba Be Bo Da De Du Fa Fi Ga Go Ha Jo Ka Ke Li Lo Ma Mi Na Ne Pa Ri Sa To]]
words.middle = list [[la le li lo na ne ni no ra re ri ro ta te ti to va ve vi vo]]
words.last = list [[ba bin den do fa fen go ka lin lo ma mir na nu ra ris sha tan vel zo]]

words.places = list [[mill harbour market bridge school bakery library tower garden forge inn well
  chapel quarry meadow station barn beach cave church cliff corner dock farm ferry field
  fountain gate hall hill island lake orchard park pond square stable swamp theatre windmill]]
words.jobs = list [[baker teacher fisher smith miller tailor doctor gardener potter painter guard
  weaver cooper shepherd carter clerk]]
words.animals = list [[goat cat dog horse duck owl pig hen rabbit crow bear beetle camel donkey
  eagle falcon frog hornet lizard magpie monkey otter parrot pigeon rat robin seal snail spider
  swan tiger toad turtle weasel zebra badger heron lamb moth newt]]
words.things = list [[kite boat lamp drum coat map cup bell book rope hat basket key barrel blanket
  bottle bucket button candle carpet chair clock compass curtain feather flag flute hammer
  helmet jar kettle ladder lantern letter locket mirror needle oar paddle pillow pipe plate pot
  purse ring saddle scarf shovel spoon statue stove sword table teapot telescope tent ticket
  trumpet umbrella vase violin wagon wheel whistle anchor broom cradle]]
words.adjectives = list [[red old small blue green heavy new bright broken long black white wooden
  golden silver tiny round rusty soft empty painted yellow plain fine crooked dusty striped]]
words.foods = list [[bread soup plums cheese honey fish apples pie nuts beans berries biscuits
  butter cabbage cake carrots cherries corn cream dates figs garlic grapes jam leeks lemons
  melons milk mint olives onions oranges peaches pears peas pepper potatoes pumpkins radishes
  rice salad salt spinach stew sugar turnips waffles]]
words.counted = list [[plums apples nuts beans eggs loaves pears figs tickets candles buttons jars]]
words.days = list [[Monday Tuesday Wednesday Thursday Friday Saturday Sunday]]
words.skies = list [[rain wind fog snow sunshine frost hail mist]]
words.moods = list [[glad tired proud hungry sleepy calm cheerful thoughtful]]
words.town_ends = list [[ford ton gate wick mere dale]]
words.deeds = { { "found", "find" }, { "bought", "buy" }, { "lost", "lose" },
  { "painted", "paint" }, { "mended", "mend" }, { "sold", "sell" }, { "hid", "hide" },
  { "carried", "carry" }, { "borrowed", "borrow" }, { "cleaned", "clean" } }

--- "a red kite", "an old boat".
function words.a(phrase)
  return (phrase:find "^[aeiou]" and "an " or "a ") .. phrase
end

return words
