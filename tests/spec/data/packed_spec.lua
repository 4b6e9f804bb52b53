local core = require "moonlit.core"
local data = require "moonlit.data"
local kit = require "kit"
local model = require "moonlit.nn.model"
local tensor = require "moonlit.tensor"

-- n documents of 1 to most ids; every id of the corpus is another one, so each can be found again
local function corpus(n, most, masked)
  local docs, id = {}, 0
  for d = 1, n do
    local ids, mask = {}, {}
    for i = 1, 1 + core.sys.random(1, 0, d, 0, 0) % most do
      ids[i], mask[i], id = id, (id * 7919) % 3 > 0 and 1 or 0, id + 1
    end
    docs[d] = { ids = ids, mask = masked and mask or nil, id = "d" .. d }
  end
  return docs, id
end

-- the rows of one epoch, as { ids =, mask =, doc = } of tables
local function epoch(loader, n)
  local rows = {}
  for step = (n - 1) * loader:rows() + 1, n * loader:rows() do
    local b = loader:at(step)
    rows[#rows + 1] = { ids = b.ids:table()[1], mask = b.mask:table()[1], doc = b.doc:table()[1] }
  end
  return rows
end

-- how often each id is a target, by what the model does: mask, and no target across documents
local function targets(rows)
  local times = {}
  for _, r in ipairs(rows) do
    for i = 2, #r.ids do
      if r.mask[i] == 1 and r.doc[i] == r.doc[i - 1] then
        times[r.ids[i]] = (times[r.ids[i]] or 0) + 1
      end
    end
  end
  return times
end

describe("data.packed", function()
  kit.leakcheck(before_each, after_each)

  for _, whole in ipairs { false, true } do
    for _, masked in ipairs { false, true } do
      local name = (whole and "whole" or "cut") .. (masked and ", with masks" or "")

      it("makes every id but the first of a document a target once: " .. name, function()
        for _, length in ipairs { 1, 2, 7, 16, 64, 300 } do
          local docs = corpus(60, 40, masked)
          local loader = data.packed(docs, { batch = 1, length = length, whole = whole })
          local rows = epoch(loader, 1)
          local times = targets(rows)
          for _, d in ipairs(docs) do
            for i, id in ipairs(d.ids) do
              local want = i > 1 and (not masked or d.mask[i] == 1) and 1 or nil
              assert.are.equal(want, times[id], ("id %d, length %d"):format(id, length))
            end
          end
          for _, r in ipairs(rows) do -- a mask may stand only where there is a target
            assert.are.equal(length + 1, #r.ids)
            for i = 1, #r.ids do
              if r.mask[i] ~= 0 then assert.are.equal(r.doc[i - 1], r.doc[i]) end
            end
          end
        end
      end)
    end
  end

  it("throws no id away and fills up only the last row", function()
    local docs, ids = corpus(50, 30)
    local loader = data.packed(docs, { batch = 1, length = 16 })
    assert.are.equal((ids - 2) // 16 + 1, loader:rows())
    local seen, filled = {}, 0
    for _, r in ipairs(epoch(loader, 1)) do
      for i = 2, 17 do
        if r.ids[i] ~= 0 then seen[r.ids[i]] = true else filled = filled + 1 end
      end
    end
    for id = 1, ids - 1 do assert.is_true(seen[id]) end
    assert.are.equal(loader:rows() * 16 - (ids - 1), filled)
  end)

  it("keeps documents whole, and rows full", function()
    local docs, ids = corpus(2000, 40)
    local loader = data.packed(docs, { batch = 1, length = 63, whole = true })
    local of, rows = {}, epoch(loader, 1)
    for n, d in ipairs(docs) do
      for _, id in ipairs(d.ids) do of[id] = n end
    end
    local row_of = {}
    for n, r in ipairs(rows) do
      local have = {}
      for i, id in ipairs(r.ids) do
        if id ~= 0 then have[of[id]] = (have[of[id]] or 0) + 1 end
        if i > 1 and r.doc[i] == r.doc[i - 1] and id ~= 0 then
          assert.are.equal(r.ids[i - 1] + 1, id)
        end
      end
      for d, count in pairs(have) do
        assert.is_nil(row_of[d])
        row_of[d] = n
        assert.are.equal(#docs[d].ids - (docs[d].ids[1] == 0 and 1 or 0), count)
      end
    end
    assert.is_true(ids / (#rows * 64) > 0.99)
  end)

  it("packs as best-fit decreasing does, written plainly", function()
    local docs = corpus(300, 50)
    local width, order, space, fits = 48, {}, {}, 0
    for d, doc in ipairs(docs) do
      local left = #doc.ids
      while left > width do
        order[#order + 1], left = { width, d }, left - (width - 1)
      end
      order[#order + 1] = { left, d }
    end
    table.sort(order, function(a, b) return a[1] > b[1] end)
    for _, piece in ipairs(order) do
      local best
      for b, room in ipairs(space) do
        if room >= piece[1] and (not best or room < space[best]) then best = b end
      end
      if not best then
        fits = fits + 1
        space[fits], best = width, fits
      end
      space[best] = space[best] - piece[1]
    end
    local loader = data.packed(docs, { batch = 1, length = width - 1, whole = true })
    assert.are.equal(#space, loader:rows())
  end)

  it("gives every row once an epoch, in another order each", function()
    local docs = corpus(80, 30)
    for _, whole in ipairs { false, true } do
      local loader = data.packed(docs, { batch = 1, length = 16, whole = whole, seed = 5 })
      local orders = {}
      for n = 1, 3 do
        local seen, order = {}, {}
        for i, r in ipairs(epoch(loader, n)) do
          local key = table.concat(r.ids, " ")
          assert.is_nil(seen[key])
          seen[key], order[i] = true, key
        end
        orders[n] = table.concat(order, "|")
      end
      assert.are_not.equal(orders[1], orders[2])
      assert.are_not.equal(orders[2], orders[3])
    end
  end)

  it("is a function of seed and step, and goes on from its state", function()
    local docs = corpus(80, 30)
    local function make(opt)
      return data.packed(docs, { batch = 3, length = 16, seed = opt })
    end
    local a, b, c = make(7), make(), make(8)
    for _ = 1, 40 do a:next() end -- over the end of an epoch
    b:reseed(7)
    assert.are.same(a:at(3).ids:table(), b:at(3).ids:table())
    assert.are_not.same(a:at(3).ids:table(), c:at(3).ids:table())
    local text = require("moonlit.json").encode(a:state())
    local again = make()
    again:load_state(require("moonlit.json").decode(text))
    local x, y = a:next(), again:next()
    for _, field in ipairs { "ids", "mask", "doc" } do
      assert.are.same(x[field]:table(), y[field]:table())
    end
    assert.are.equal(48, a:tokens())
    docs[5].ids[1] = docs[5].ids[1] + 1
    kit.raises(function() make():load_state(a:state()) end, "data.packed: the state is of")
    local shorter = data.packed(corpus(80, 30), { batch = 3, length = 15 })
    kit.raises(function() shorter:load_state(a:state()) end, "data.packed: the state is of")
  end)

  it("gives the same from a file", function()
    local docs, path = corpus(40, 30, true), os.tmpname()
    assert(data.shard.write(path, docs))
    local shard = assert(data.shard.open(path))
    local a = data.packed(shard, { batch = 4, length = 16, whole = true, seed = 2 })
    shard:free() -- the loader keeps what it needs
    os.remove(path)
    local b = data.packed(docs, { batch = 4, length = 16, whole = true, seed = 2 })
    for n = 1, 5 do
      assert.are.same(a:at(n).ids:table(), b:at(n).ids:table())
      assert.are.same(a:at(n).mask:table(), b:at(n).mask:table())
    end
  end)

  it("gives the losses of the documents one by one", function()
    for _, dtype in ipairs { "f32", "f64" } do
      local docs = {}
      for d = 1, 12 do
        local ids, mask = {}, {}
        for i = 1, 2 + core.sys.random(3, 0, d, 0, 0) % 20 do
          ids[i] = core.sys.random(4, 0, d, i, 0) % 17
          mask[i] = core.sys.random(5, 0, d, i, 0) % 4 > 0 and 1 or 0
        end
        docs[d] = { ids = ids, mask = d % 2 == 0 and mask or nil }
      end
      local m = model.new { layers = 2, heads = 2, dim = 16, vocab = 17, context = 32, seed = 1,
                            dtype = dtype }
      local function sum(batch)
        local y, n = m:loss(batch, { reduction = "sum" })
        return y:item(), n
      end
      require("moonlit.autograd").no_grad(function()
        local want, count = 0, 0
        for _, d in ipairs(docs) do
          local row = { ids = tensor.tensor({ d.ids }, { dtype = "i64" }),
                        mask = d.mask and tensor.tensor { d.mask } }
          local v, n = sum(row)
          want, count = want + v, count + n
        end
        local loader = data.packed(docs, { batch = 1, length = 31, whole = true })
        local got, learned = 0, 0
        for n = 1, loader:rows() do
          local v, k = sum(loader:at(n))
          got, learned = got + v, learned + k
        end
        assert.are.equal(count, learned)
        kit.near(got, want, dtype == "f32" and 1e-6 or 1e-14)
      end)
    end
  end)

  it("gives every id the log-probability it has in its document alone, to the bit", function()
    local docs = {}
    for d = 1, 20 do
      docs[d] = {}
      for i = 1, 2 + core.sys.random(3, 0, d, 1, 0) % 30 do
        docs[d][i] = core.sys.random(4, 0, d, i, 1) % 17
      end
    end
    local m = model.new { layers = 2, heads = 2, dim = 16, vocab = 17, context = 64, seed = 1 }
    local function logprobs(batch)
      return require("moonlit.autograd").no_grad(function() return m:logprobs(batch) end):table()
    end
    local want, got = {}, {}
    for _, ids in ipairs(docs) do
      local row = logprobs({ ids = tensor.tensor({ ids }, { dtype = "i64" }) })[1]
      table.move(row, 2, #row, #want + 1, want)
    end
    local loader = data.packed(docs, { batch = 1, length = 63, whole = true })
    for n = 1, loader:rows() do
      local batch = loader:at(n)
      local row, mask = logprobs(batch)[1], batch.mask:table()[1]
      for i = 2, #row do
        if mask[i] == 1 then got[#got + 1] = row[i] end
      end
    end
    table.sort(want)
    table.sort(got)
    assert.are.same(want, got)
  end)

  it("refuses what cannot be cut", function()
    local docs = corpus(3, 9)
    kit.raises(function() data.packed({ { ids = { 1 } } }, { batch = 1, length = 8 }) end,
               "expected at least 2 ids, got 1")
    kit.raises(function() data.packed(docs, { batch = 0, length = 8 }) end,
               "data.packed: batch must be a positive integer, got 0")
    kit.raises(function() data.packed(docs, { batch = 1, length = 0 }) end, "length must be")
    kit.raises(function() data.packed(docs, { batch = 1, lenght = 8 }) end,
               'did you mean "length"?')
    kit.raises(function() data.packed(3, { batch = 1, length = 8 }) end, "expected an iterator")
    local rows <close> = core.data.rows(data.shard.of(docs), 8, false)
    kit.raises(function() rows:batch { 99 } end, "expected a row from 1 to")
  end)
end)
