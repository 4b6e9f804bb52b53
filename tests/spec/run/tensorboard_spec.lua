-- Event files: bytes a reader of TFRecord and protobuf must find; the whole file was read with
-- TensorBoard 2.21's own loader.
local core = require "moonlit.core"
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
end)
