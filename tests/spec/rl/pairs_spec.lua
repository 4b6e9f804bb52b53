-- Preference pairs and the reference's log-probabilities.
local bytetok = require "bytetok"
local kit = require "kit"
local lfs = require "lfs"
local ml = require "moonlit"
local toy = require "rl.toy"

local tok = bytetok()
local chat = ml.data.chat(tok)

local function learned(side)
  local ids = {}
  for t, bit in ipairs(side.mask) do if bit == 1 then ids[#ids + 1] = side.ids[t] end end
  return tok:decode(ids)
end

local function rows_of(...) return assert(ml.rl.pairs({ ... }, chat)) end

describe("rl.pairs", function()
  it("reads prompts and replies, as text or messages", function()
    local user = { role = "user", content = "Hi?" }
    local forms = rows_of(
      { prompt = "Hi?", chosen = "Yes.", rejected = "No." },
      { prompt = { user }, chosen = "Yes.", rejected = { role = "assistant", content = "No." } },
      { chosen = { user, { role = "assistant", content = "Yes." } },
        rejected = { user, { role = "assistant", content = "No." } } },
      { chosen = "\n\nHuman: Hi?\n\nAssistant: Yes.",
        rejected = "\n\nHuman: Hi?\n\nAssistant: No." })
    assert.are.equal(4, #forms)
    for _, row in ipairs(forms) do
      assert.are.same(forms[1], row)
      assert.are.equal("Yes.<|im_end|>", learned(row.chosen))
      assert.are.equal("No.<|im_end|>", learned(row.rejected))
      assert.are.equal("<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\nNo.<|im_end|>\n",
                       tok:decode(row.rejected.ids))
    end
  end)

  it("learns what comes after the last message both have", function()
    local row = rows_of { id = "hh:1",
      chosen = "\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant: D: \n\n1. E",
      rejected = "\n\nHuman: A\n\nAssistant: B\n\nHuman: F\n\nAssistant: G" }[1]
    assert.are.equal("hh:1", row.id)
    assert.are.equal("D: \n\n1. E<|im_end|>", learned(row.chosen))
    assert.are.equal("G<|im_end|>", learned(row.rejected))
    -- one speaker twice in a row, and two replies where the conversations part early
    row = rows_of {
      chosen = "\n\nHuman: A\n\nHuman: B\n\nAssistant: C\n\nHuman: D\n\nAssistant: E",
      rejected = "\n\nHuman: A\n\nHuman: B\n\nAssistant: X" }[1]
    assert.are.equal("C<|im_end|>E<|im_end|>", learned(row.chosen))
    assert.matches("user\nA\n\nB<|im_end|>", tok:decode(row.chosen.ids), 1, true)
  end)

  it("refuses and counts what teaches nothing", function()
    local rows, counts = ml.rl.pairs({
      { prompt = "a", chosen = "b", rejected = "c" },
      { prompt = "a", chosen = "b", rejected = "b" },
      { prompt = "a", chosen = "", rejected = "b" },
      { prompt = "a", chosen = "b", rejected = " \n" },
      { prompt = "a", chosen = "b", rejected = ("c"):rep(100) },
      { chosen = "\n\nHuman: a\n\nAssistant:", rejected = "\n\nHuman: a\n\nAssistant: b" },
    }, chat, { length = 60 })
    assert.are.equal(1, #rows)
    assert.are.same({ pairs = 6, kept = 1, identical = 1, empty = 3, long = 1 }, counts)
    local n = 0
    rows = ml.rl.pairs(function()
      n = n + 1
      return n < 4 and { prompt = "a", chosen = "b" .. n, rejected = "c" } or nil
    end, chat)
    assert.are.equal(3, #rows)
  end)

  it("names what is no pair", function()
    local function try(text, record)
      local good = { prompt = "a", chosen = "b", rejected = "c" }
      local rows, err, code = ml.rl.pairs({ good, record }, chat)
      assert.is_nil(rows)
      assert.are.equal("rl.pairs: " .. text, err)
      assert.are.equal("format", code)
    end
    try("pair 2: expected a table, got number", 5)
    try("x.jsonl:7: rejected: expected text or messages, got nil",
        { id = "x.jsonl:7", prompt = "a", chosen = "b" })
    try("pair 2: prompt: expected text or messages, got number",
        { prompt = 1, chosen = "b", rejected = "c" })
    try("pair 2: chosen: message 1: the last one must be the assistant's, got role \"user\"",
        { chosen = "\n\nHuman: a", rejected = "\n\nHuman: a\n\nAssistant: b" })
    try('pair 2: chosen: message 1: unknown role "usr"; did you mean "user"?',
        { chosen = { { role = "usr", content = "a" }, { role = "assistant", content = "b" } },
          rejected = { { role = "user", content = "a" }, { role = "assistant", content = "c" } } })
  end)
end)

describe("rl.reference", function()
  kit.leakcheck(before_each, after_each)
  local dir

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
  end)
  after_each(function()
    if not lfs.attributes(dir) then return end
    for name in lfs.dir(dir) do os.remove(dir .. "/" .. name) end
    lfs.rmdir(dir)
  end)

  local function sides()
    local rows = {}
    for i, text in ipairs(toy.prompts(11)) do
      rows[i] = toy.chat:render { { role = "user", content = text },
                                  { role = "assistant", content = text:reverse() } }
    end
    return rows
  end

  local function files()
    local n = 0
    for name in lfs.dir(dir) do if name:find "%.safetensors$" then n = n + 1 end end
    return n
  end

  for _, dtype in ipairs { "f32", "bf16-amx", "f64" } do
    it("is the training forward's, from the model and from the disk: " .. dtype, function()
      local model, rows = toy.model { dtype = dtype }, sides()
      local first = assert(ml.rl.reference(model, rows, { dir = dir, batch = 4 }))
      assert.is_false(first.cached)
      local again = sides()
      local second = assert(ml.rl.reference(model, again, { dir = dir }))
      assert.is_true(second.cached)
      assert.are.equal(first.path, second.path)
      for i, row in ipairs(rows) do assert.are.same(row.ref, again[i].ref) end
      -- sums over other batches, to the bit: the margin before the first step is exactly 0 (in f64
      -- OpenBLAS multiplies, whose bits depend on the batch)
      local real = dtype == "f64" and "f64" or "f32"
      for b in ml.rl.batches(again, { rows = 3, dtype = real }) do
        local now = (model:logprobs(b) * b.mask):sum(2):detach()
        kit.near(now, (b.ref * b.mask):sum(2), dtype == "f64" and 1e-12 or 0)
      end
    end)
  end

  it("belongs to weights, options and rows", function()
    local rows = sides()
    local function key(model, list, more)
      local o = { dir = dir }
      for k, v in pairs(more or {}) do o[k] = v end
      return assert(ml.rl.reference(model, list or rows, o)).path
    end
    local model = toy.model()
    local paths = { key(model), key(toy.model { window = 3 }), key(model, { rows[2], rows[1] }),
                    key(model, { rows[1] }), key(model, rows, { temperature = 0.5 }) }
    ml.no_grad(function() model:parameter("model.norm.weight"):mul_(1.001) end)
    paths[6] = key(model)
    local seen = {}
    for _, p in ipairs(paths) do
      assert.is_nil(seen[p])
      seen[p] = true
    end
    assert.are.equal(6, files())
  end)

  it("computes again what was cut short or is another's", function()
    local model, rows = toy.model(), sides()
    local path = assert(ml.rl.reference(model, rows, { dir = dir })).path
    local want = rows[3].ref
    for _, bad in ipairs { "", ("x"):rep(400) } do
      ml.ckpt.write(path, bad)
      rows = sides()
      assert.is_false(assert(ml.rl.reference(model, rows, { dir = dir })).cached)
      assert.are.same(want, rows[3].ref)
    end
    ml.ckpt.save(path, { logprobs = ml.zeros(3), lengths = ml.tensor { 3 } })
    assert.is_false(assert(ml.rl.reference(model, rows, { dir = dir })).cached)
    assert.is_true(assert(ml.rl.reference(model, rows, { dir = dir })).cached)
  end)

  it("says what is wrong", function()
    local model = toy.model()
    kit.raises(function() ml.rl.reference(model, {}, { dir = dir }) end, "list of rows, got none")
    kit.raises(function() ml.rl.reference(model, sides(), {}) end, 'option "dir" is needed')
    local rows, err, code = ml.rl.reference(model, sides(), { dir = "/dev/null/x" })
    assert.is_nil(rows)
    assert.is_string(err)
    assert.is_string(code)
  end)
end)
