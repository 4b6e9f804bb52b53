-- Curves in braille, dot by dot.
local braille = require "moonlit.text.braille"

describe("a curve in braille", function()
  it("goes from the least at the bottom to the most at the top", function()
    local points = {}
    for x = 1, 8 do points[x] = { x, x } end
    -- 2 lines of 4 characters after the labels: a diagonal of 8 dots
    assert.are.same({ "loss 8", "         8 ⠀⠀⡠⠊", "         1 ⡠⠊⠀⠀", "           1  8" },
                    braille(points, { title = "loss", width = 15, height = 2 }))
  end)

  it("loses no spike, however many points share a column", function()
    local points = {}
    for x = 1, 1000 do points[x] = { x, x == 503 and 9 or 1 } end
    local lines = braille(points, { title = "norm", width = 21, height = 3 })
    local full = 0
    for _, c in utf8.codes(lines[2]) do if c > 0x2800 then full = full + 1 end end
    assert.are.equal(1, full)
  end)

  it("draws one point, equal values, and nothing", function()
    assert.are.same({ "lr: no number yet" }, braille({}, { title = "lr" }))
    assert.are.equal(4, #braille({ { 1, 2 } }, { title = "lr", width = 20, height = 2 }))
    local flat = braille({ { 1, 2 }, { 9, 2 } }, { title = "lr", width = 15, height = 1 })
    assert.are.equal("         2 ⠤⠤⠤⠤", flat[2])
  end)
end)
