local core = require "moonlit.core"
local data = require "moonlit.data"
local json = require "moonlit.json"
local kit = require "kit"
local tensor = require "moonlit.tensor"

-- rows whose ids all lie from `base` on, so that a row shows its source
local function source(base, batch, n)
  local ids = {}
  for i = 1, n or 400 do ids[i] = base + i - 1 end
  return data.packed({ ids }, { batch = batch or 1, length = 4 })
end

local function counted(mix, steps)
  local counts = {}
  for n = 1, steps do
    for _, row in ipairs(mix:at(n).ids:table()) do
      local s = row[1] // 1000 + 1
      counts[s] = (counts[s] or 0) + 1
    end
  end
  return counts
end

-- |rows given - weights x rows| of every source at every step
local function worst(mix, weights, steps)
  local owed, most = {}, 0
  for n = 1, steps do
    local w, sum = weights(n), 0
    for _, v in ipairs(w) do sum = sum + v end
    for i, c in ipairs(mix:counts(n)) do
      owed[i] = (owed[i] or 0) + w[i] / sum * mix.batch
      most = math.max(most, math.abs(c - owed[i]))
    end
  end
  return most
end

describe("data.mix", function()
  kit.leakcheck(before_each, after_each)

  it("draws rows in proportion, at every step", function()
    local mix = data.mix({ { data = source(0), weight = 0.61 },
                           { data = source(1000), weight = 0.3 },
                           { data = source(2000), weight = 0.09 } }, { batch = 7 })
    local got = counted(mix, 200)
    assert.are.same(mix:counts(200), got)
    for i, w in ipairs { 0.61, 0.3, 0.09 } do
      assert.is_true(math.abs(got[i] - w * 1400) <= 1.4) -- 0.1 % of the rows
    end
    assert.is_true(worst(mix, function() return { 0.61, 0.3, 0.09 } end, 5000) < 2)
  end)

  it("gives no row more often than it may, and its part to the others", function()
    local rows = source(0, 1, 21):rows() -- 5
    local mix = data.mix({ { data = source(0, 1, 21), weight = 0.5, max_repetition = 3 },
                           { data = source(1000, 1, 401), weight = 0.3, max_repetition = 1 },
                           { data = source(2000, 1, 401), weight = 0.2, max_repetition = 1 } },
                         { batch = 5 })
    local seen, total = {}, 0
    for n = 1, 43 do
      for _, row in ipairs(mix:at(n).ids:table()) do
        seen[row[1]] = (seen[row[1]] or 0) + 1
        total = total + 1
      end
    end
    assert.are.same({ 3 * rows, 100, 100 }, mix:counts(43))
    assert.equal(43 * 5, total)
    for first, times in pairs(seen) do assert.equal(first < 1000 and 3 or 1, times) end
    for i, share in ipairs { 0.5, 0.3, 0.2 } do -- as long as all have rows
      assert.is_true(math.abs(mix:counts(6)[i] - 30 * share) < 1)
    end
    assert.error_matches(function() mix:at(44) end, "at step 44 every source has given its rows")
    local function with(times)
      return function()
        data.mix({ { data = source(0), weight = 1, max_repetition = times } }, { batch = 1 })
      end
    end
    assert.error_matches(with(0), "max_repetition of source 1 must be a number above 0")
    assert.error_matches(with("x"), "got x")
  end)

  it("takes a fraction of a source's rows, the same in every epoch", function()
    local ids = {}
    for i = 1, 401 do ids[i] = i end
    local some = data.packed({ ids }, { batch = 1, length = 4, fraction = 0.25 })
    local epochs, orders = { {}, {} }, { {}, {} }
    assert.equal(25, some:rows())
    for e = 1, 2 do
      for n = 1, 25 do
        local first = some:at((e - 1) * 25 + n).ids:table()[1][1]
        epochs[e][first], orders[e][n] = true, first
      end
    end
    assert.same(epochs[1], epochs[2])
    assert.are_not.same(orders[1], orders[2])
    local opt = { batch = 1, length = 4, fraction = 0 }
    assert.error_matches(function() data.packed({ ids }, opt) end, "fraction must lie above 0 "
                         .. "and up to 1, got 0")
  end)

  it("stays within 0.1 % of any weights", function()
    for trial = 1, 20 do
      local w, list, sum = {}, {}, 0
      for i = 1, 2 + trial % 6 do
        w[i] = core.sys.random(9, 0, trial, i, 0) / 2^32 + 0.001
        list[i], sum = { data = source(1000 * i), weight = w[i] }, sum + w[i]
      end
      local mix = data.mix(list, { batch = 1 + trial % 9 })
      assert.is_true(worst(mix, function() return w end, 2000) < #w)
      local rows = 2000 * mix.batch
      for i, c in ipairs(mix:counts(2000)) do
        assert.is_true(math.abs(c - w[i] / sum * rows) <= math.max(rows / 1000, #w - 1))
      end
    end
  end)

  it("follows weights that change", function()
    local function fall(step) return step < 500 and 1 or 0 end
    local mix = data.mix({ { data = source(0), weight = fall },
                           { data = source(1000), weight = { from = 0, to = 1, steps = 1001 } } },
                         { batch = 8 })
    local function weights(n) return { fall(n), n < 1001 and (n - 1) / 1000 or 1 } end
    assert.is_true(worst(mix, weights, 3000) < 1.001)
    for _, row in ipairs(mix:at(1).ids:table()) do assert.is_true(row[1] < 1000) end
    for _, row in ipairs(mix:at(2500).ids:table()) do assert.is_true(row[1] >= 1000) end
  end)

  it("takes every source in its own order, whatever its batches", function()
    for _, size in ipairs { 1, 3, 16 } do
      local a = source(0, size)
      local mix = data.mix({ { data = a, weight = 2 }, { data = source(1000, 2), weight = 1 } },
                           { batch = 5, seed = 3 })
      local got, want = {}, {}
      for n = 1, 60 do
        for _, row in ipairs(mix:at(n).ids:table()) do
          if row[1] < 1000 then got[#got + 1] = row[1] end
        end
      end
      local alone = source(0)
      alone:reseed(a.seed)
      for n = 1, #got do want[n] = alone:at(n).ids:table()[1][1] end
      assert.are.same(want, got)
    end
  end)

  it("is a function of seed and step, and goes on from its state", function()
    local function make(seed)
      return data.mix({ { data = source(0), weight = 3 },
                        { data = source(1000), weight = { from = 1, to = 5, steps = 50 } } },
                      { batch = 5, seed = seed })
    end
    local a, b, c = make(1), make(), make(2)
    for _ = 1, 33 do a:next() end
    b:reseed(1)
    assert.are.same(a:at(20).ids:table(), b:at(20).ids:table())
    assert.are.same(b:at(2).ids:table(), a:at(2).ids:table()) -- back again
    assert.are_not.same(a:at(20).ids:table(), c:at(20).ids:table())
    local again = make()
    again:load_state(json.decode(json.encode(a:state())))
    assert.are.same(a:counts(), again:counts())
    local x, y = a:next(), again:next()
    for _, field in ipairs { "ids", "mask", "doc" } do
      assert.are.same(x[field]:table(), y[field]:table())
    end
    assert.are.equal(20, a:tokens())
    local other = data.mix({ { data = source(0), weight = 1 } }, { batch = 5 })
    kit.raises(function() other:load_state(a:state()) end, "the state is of 2 sources, there are 1")
    other = data.mix({ { data = source(0), weight = 1 }, { data = source(5), weight = 1 } },
                     { batch = 5 })
    kit.raises(function() other:load_state(a:state()) end, "data.packed: the state is of")
  end)

  it("does not give two sources of the same documents the same rows", function()
    local mix = data.mix({ { data = source(0), weight = 1 }, { data = source(0), weight = 1 } },
                         { batch = 2 })
    local same = 0
    for n = 1, 50 do
      local rows = mix:at(n).ids:table()
      if rows[1][1] == rows[2][1] then same = same + 1 end
    end
    assert.is_true(same < 10)
  end)

  it("takes windows too, and mixes", function()
    local windows = data.windows(tensor.arange(0, 999), { batch = 4, length = 4 })
    local inner = data.mix({ { data = windows, weight = 1 }, { data = source(1000), weight = 1 } },
                           { batch = 3 })
    local batch = data.mix({ { data = inner, weight = 2 }, { data = source(2000), weight = 1 } },
                           { batch = 6 }):next()
    for _, field in ipairs { "ids", "mask", "doc" } do
      assert.are.same({ 6, 5 }, batch[field]:shape())
    end
    local plain = data.mix({ { data = windows, weight = 1 } }, { batch = 2 }):next()
    assert.are.same({ 2, 5 }, plain.ids:shape())
    assert.is_nil(plain.mask)
  end)

  it("refuses what cannot be mixed", function()
    local a = source(0)
    local function made(list, opt) return function() data.mix(list, opt or { batch = 1 }) end end
    kit.raises(made {}, "data.mix: expected a list of sources, got an empty one")
    kit.raises(made { { weight = 1 } }, "source 1 must be { data = loader, weight = ... }")
    kit.raises(made { { data = a } }, "weight of source 1 must be a number")
    kit.raises(made { { data = a, weight = -1 } }, "weight of source 1 must be a number")
    kit.raises(made { { data = a, weight = { from = 1, too = 2, steps = 3 } } },
               'did you mean "to"?')
    kit.raises(made({ { data = a, weight = 1 } }, { batch = 0 }), "batch must be a positive")
    local longer = data.packed({ { 1, 2, 3 } }, { batch = 1, length = 2 })
    kit.raises(made { { data = a, weight = 1 }, { data = longer, weight = 1 } },
               "source 2 has rows of length 2, the ones before of 4")
    kit.raises(function() data.mix({ { data = a, weight = 0 } }, { batch = 1 }):next() end,
               "all weights are 0 at step 1")
    kit.raises(function()
      data.mix({ { data = a, weight = function() return "much" end } }, { batch = 1 }):next()
    end, "weight of source 1 at step 1 must be a number of 0 or more, got much")
  end)
end)
