-- Languages by their scripts and function words.
local core = require "moonlit.core"
local ml = require "moonlit"
local language = ml.data.filter.language

local prose = {
  en = "The ferry was late, and when it came there was nobody on it but an old man with his dog.",
  de = "Die Fähre kam zu spät, und als sie endlich da "
    .. "war, stand nur ein alter Mann mit dem Hund auf.",
  fr = "Le bateau est arrivé en retard, et il n'y avait dans la cabine que le vieux et son chien.",
  es = "El barco llegó tarde y no había en la cubierta más que un hombre viejo con su perro.",
  it = "La nave è arrivata in ritardo e non c'era che un uomo vecchio con il cane sul ponte.",
  pt = "O barco chegou tarde e não havia na coberta mais do que um homem velho com o seu cão.",
  nl = "De boot kwam te laat en er was niemand aan boord, maar wel een oude man met zijn hond.",
  sv = "Båten kom för sent, och det var bara en gammal man med sin hund som inte hade gått av.",
  da = "Båden kom for sent, og der var kun en gammel mand med sin hund, som ikke ville gå af.",
  no = "Båten kom for sent, og det var bare en gammel mann med hunden sin som ikke ville gå av.",
  fi = "Laiva tuli myöhään, eikä kannella ollut muita kuin vanha mies ja hänen koiransa.",
  pl = "Statek przypłynął późno i na pokładzie nie "
    .. "było już nikogo oprócz starego, który się bał.",
  cs = "Loď přijela pozdě a na palubě už nebyl nikdo, jen "
    .. "starý muž, který se bál, že je to jeho pes.",
  hu = "A hajó későn jött, és nem volt rajta senki, "
    .. "csak egy öreg ember, aki azt mondta, hogy ez jó.",
  tr = "Gemi geç geldi ve içinde bir adam ile köpeği "
    .. "için yer yoktu, ama daha sonra bu değil dedi.",
  ro = "Vaporul a venit târziu și nu era pe punte decât "
    .. "un om bătrân care se temea că nu este al lui.",
  id = "Kapal itu datang terlambat dan tidak ada orang "
    .. "di dalam selain dia yang duduk dengan anjing.",
  vi = "Con tàu đến muộn và không có ai ở trên đó, "
    .. "một ông già với những người bạn của ông đã về.",
  ru = "Корабль пришёл поздно, и на нём никого не "
    .. "было, только старик, который не мог что-то сказать.",
  uk = "Корабель прийшов пізно, і на ньому не було нікого, "
    .. "але старий, що був там, як і його пес.",
  bg = "Корабът дойде късно и на него нямаше никой, "
    .. "освен един старец, който може да е от това.",
  sr = "Брод је дошао касно и на њему није било "
    .. "никога, али старац који је био ту није знао шта.",
  el = "Το πλοίο ήρθε αργά και δεν υπήρχε κανείς.",
  he = "הספינה הגיעה באיחור ולא היה בה איש.",
  ar = "وصلت السفينة في وقت متأخر ولم يكن على هذا "
    .. "السطح إلا رجل مع كلب كان من القرية التي بعد.",
  fa = "کشتی دیر رسید و در آن کسی نبود که این را به "
    .. "ما با خود از راه برای یک مرد آن هم تا شب.",
  hi = "जहाज देर से आया और उस पर एक बूढ़े के "
    .. "अलावा कोई नहीं था जो कि अपने साथ का है।",
  th = "เรือมาถึงช้าและไม่มีใครอยู่บนนั้น",
  ko = "배가 늦게 왔고 아무도 없었다.",
  ja = "船は遅れて来て、誰もいなかった。", zh = "船来得很晚，上面没有人。",
}

describe("filter.language", function()
  for name, text in pairs(prose) do
    it("knows " .. name, function()
      local found, score = language.of(text)
      assert.equal(name, found)
      assert.is_true(score >= 0.1, score)
      assert.is_true(language { languages = { "en", name } } { text = text })
    end)
  end

  it("says what a document is, or that it is not sure", function()
    local keep = language { languages = { "en" } }
    local fine, reason, detail = keep { text = prose.fr }
    assert.is_false(fine)
    assert.equal("language", reason)
    assert.truthy(detail:find "^fr 0%.%d%d$")
    for _, text in ipairs { "", "12 34 -- ++", "\xff\xfe\0", "int main xyzzy foo bar qux" } do
      fine, reason = keep { text = text }
      assert.same({ false, "unsure" }, { fine, reason })
    end
    assert.is_false(language { languages = { "en" }, min_score = 0.9 } { text = prose.en })
  end)

  it("refuses languages it does not know", function()
    assert.error_matches(function() language { languages = { "dee" } } end,
                         'unknown language "dee"; did you mean "de"')
    assert.error_matches(function() language { languages = "en" } end, "must be a list")
    assert.error_matches(function() language {} end, "languages")
  end)
end)

describe("core.stats.scripts", function()
  it("counts letters only, whatever the bytes", function()
    local counts, letters = core.stats.scripts "a1 β\xffが漢한"
    assert.same({ latin = 1, greek = 1, kana = 1, han = 1, hangul = 1 }, counts)
    assert.equal(5, letters)
  end)
end)
