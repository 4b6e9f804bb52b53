-- lua5.4 tests/quality.lua [STEPS] -- does a quality classifier make better models? Good text: the
-- built-in world's documents. Bad text that hand-written rules let through: their words shuffled,
-- their sentences drawn from everywhere, every other word from elsewhere, shop talk. The classifier
-- learns from 1,000 labelled documents of each; then a model is trained on what it keeps of an
-- unlabelled half-and-half mixture, another on as many tokens of the mixture as it is. Prints the
-- held-out AUC and both models' bits per byte on good text they have not seen, for three seeds.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = "build/release/?.so;" .. package.cpath
local core = require "moonlit.core"
local ml = require "moonlit"

local STEPS = math.tointeger(tonumber(arg[1] or 300))
local STREAM = 7 -- of random numbers, this file's own

local function drawer(seed, document)
  local n = 0
  return function(most)
    n = n + 1
    return core.sys.random(seed, STREAM, document, n, 0) % most + 1
  end
end

local function split(text, pattern)
  local out = {}
  for piece in text:gmatch(pattern) do out[#out + 1] = piece end
  return out
end

local function shuffle(list, draw)
  for i = #list, 2, -1 do
    local j = draw(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

local spoil = {
  function(doc, _, draw) return table.concat(shuffle(split(doc, "%S+"), draw), " ") end,
  function(doc, all, draw) -- sentences of anybody
    local out = {}
    for i = 1, #split(doc, "[^.]+%.") do
      local theirs = split(all[draw(#all)].text, "[^.]+%.")
      out[i] = theirs[draw(math.max(1, #theirs))] or "It was so."
    end
    return table.concat(out)
  end,
  function(doc, all, draw) -- every other word is one of another document
    local words, theirs = split(doc, "%S+"), split(all[draw(#all)].text, "%S+")
    for i = 2, #words, 2 do words[i] = theirs[draw(#theirs)] end
    return table.concat(words, " ")
  end,
  function(doc, _, draw) -- its nouns for sale
    local words, out = split(doc, "%a+"), {}
    for i = 1, #words // 8 do
      local a, b, c = words[draw(#words)], words[draw(#words)], words[draw(#words)]
      out[i] = ("Order the %s and the %s of this week, have it sent with the %s."):format(a, b, c)
    end
    return table.concat(out, " ")
  end,
}

-- n good and n bad documents of a part of the world, in turns
local function mixture(world, seed, from, n)
  local good, bad = {}, {}
  local at = 0
  for doc in world:documents("train", from + n) do
    at = at + 1
    if at > from then good[#good + 1] = { text = doc.text } end
  end
  for i, doc in ipairs(good) do
    local draw = drawer(seed, from + i)
    bad[i] = { text = spoil[draw(#spoil)](doc.text, good, draw) }
  end
  return good, bad
end

local function scores(c, docs)
  local list = {}
  for i, doc in ipairs(docs) do list[i] = c:score(doc) end
  return list
end

local function bits(docs, tok, held, seed)
  local model = ml.model { preset = "llama", vocab = tok:size(), layers = 2, heads = 4, dim = 96,
                           hidden = 256, context = 128, seed = seed }
  local data = ml.data.packed(ml.data.shard.of(ml.data.sequences(docs, tok)),
                              { batch = 8, length = 128, seed = seed })
  local opt = ml.optim.hybrid(model, { lr = 3e-3 })
  local rate = ml.optim.wsd { peak = 1, floor = 0.3, warmup = 20, steps = STEPS }
  for step = 1, STEPS do
    model:loss(data:next()):backward()
    opt:step { lr_scale = rate(step), clip = 1 }
  end
  return ml.eval.bits_per_byte(model, tok, held).bits_per_byte
end

print("seed  AUC     kept: good   bad   bits per byte: filtered  unfiltered")
for seed = 1, 3 do
  local world = ml.data.world { seed = seed }
  local good, bad = mixture(world, seed, 0, 1000)
  local c = ml.data.classifier.train(good, bad, { seed = seed })
  good, bad = mixture(world, seed, 1000, 3000)
  local keep = ml.data.filter.classifier { classifier = c }
  local all, kept, share = {}, {}, { 0, 0 }
  for i = 1, #good do
    for kind, doc in ipairs { good[i], bad[i] } do
      all[#all + 1] = doc
      if keep(doc) then
        kept[#kept + 1] = doc
        share[kind] = share[kind] + 100 / #good
      end
    end
  end
  local auc = ml.data.classifier.auc(scores(c, good), scores(c, bad))
  local tok = ml.text.train(all, { vocab = 768, special = ml.data.chat.special })
  local held = ml.data.take(world:documents("test", 200), 200)
  print(("%4d  %.4f  %8.1f %%  %4.1f %%  %23.4f  %10.4f"):format(seed, auc, share[1], share[2],
    bits(kept, tok, held, seed), bits(all, tok, held, seed)))
end
