-- Event files: bytes a reader of TFRecord and protobuf must find; the whole file was read with
-- TensorBoard 2.21's own loader.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local tensorboard = require "moonlit.run.tensorboard"

describe("crc32c", function()
  it("has RFC 3720's values, with the processor's instruction and without", function()
    local ascending = {}
    for i = 0, 31 do ascending[i + 1] = string.char(i) end
    for text, want in pairs { [("\0"):rep(32)] = 0x8a9136aa, [("\xff"):rep(32)] = 0x62a8ab43,
                              [table.concat(ascending)] = 0x46dd794e, [""] = 0 } do
      assert.are.equal(want, core.sys.crc32c(text))
      assert.are.equal(want, core.sys.crc32c(text, 0, true))
    end
  end)

  it("goes on from any place", function()
    local text = ("moonlit "):rep(50)
    local whole = core.sys.crc32c(text)
    for cut = 0, #text, 7 do
      for _, portable in ipairs { false, true } do
        local first = core.sys.crc32c(text:sub(1, cut), 0, portable)
        assert.are.equal(whole, core.sys.crc32c(text:sub(cut + 1), first, not portable))
      end
    end
  end)
end)

describe("an event file", function()
  -- the bytes that tensorboard's EventFileWriter gave for the same events
  it("has the bytes TensorBoard writes", function()
    local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
    assert.are.equal("1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a32"
                     .. "2a28646c",
                     hex(tensorboard.header(1.5)))
    assert.are.equal("2600000000000000734fe30009000000000000044010ac022a180a0b0a046c6f73731500"
                     .. "00c03f0a090a026c72150000803e107ae63e",
                     hex(tensorboard.scalars(2.5, 300, { lr = 0.25, loss = 1.5, step = 9,
                                                               module = "no number" })))
  end)

  local function masked(bytes)
    local c = core.sys.crc32c(bytes)
    return ((c >> 15 | c << 17) + 0xa282ead8) & 0xffffffff
  end

  -- the steps of a file's records, every CRC checked
  local function steps_of(path)
    local text, at, steps = assert(files.read(path)), 1, {}
    while at <= #text do
      local n, crc = string.unpack("<I8I4", text, at)
      assert.are.equal(masked(text:sub(at, at + 7)), crc)
      local data = text:sub(at + 12, at + 11 + n)
      assert.are.equal(masked(data), (string.unpack("<I4", text, at + 12 + n)))
      assert.are.equal("\x09", data:sub(1, 1))
      -- below 128 a step is one byte
      steps[#steps + 1] = data:byte(10) == 0x10 and data:byte(11) or "header"
      at = at + 16 + n
    end
    return steps
  end

  it("has every step once, however often the run was stopped", function()
    local place = os.tmpname()
    os.remove(place)
    local recipe = "lua5.4 tests/spec/run/recipe.lua --quiet --resume --out " .. place
    os.execute("MOONLIT_CRASH=13:exit " .. recipe .. " >/dev/null 2>&1")
    os.execute("MOONLIT_CRASH=18:kill " .. recipe .. " >/dev/null 2>&1")
    assert.is_true(os.execute(recipe .. " >/dev/null"))
    local steps = steps_of(place .. "/" .. tensorboard.name)
    files.remove(place)
    assert.are.equal("header", steps[1])
    assert.are.equal(21, #steps)
    for step = 1, 20 do assert.are.equal(step, steps[step + 1]) end
  end)
end)
