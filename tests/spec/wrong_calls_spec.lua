-- The quick form of `make soak`'s wrong calls.
package.path = "tests/?.lua;" .. package.path

describe("wrong calls", function()
  it("give one clear Lua error each", function()
    local _, errors = require "wrong_calls"(10000, 7)
    assert.is_true(errors > 5000)
  end)
end)
