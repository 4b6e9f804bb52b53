local options = require "moonlit.options"

-- a function that takes options, and the line it is called from
local function fit(opt)
  local o = options(opt, { layers = 4, heads = 2, clip = options.optional }, "fit")
  return o
end

describe("options", function()
  it("fills in what was not given", function()
    assert.are.same({ layers = 4, heads = 2 }, fit())
    assert.are.same({ layers = 9, heads = 2, clip = 1 }, fit { layers = 9, clip = 1 })
  end)

  it("keeps false, and leaves the given table alone", function()
    local given = { layers = false }
    assert.is_false(fit(given).layers)
    assert.are.same({ layers = false }, given)
  end)

  it("refuses an unknown key with the nearest name, at the caller's line", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() local o = fit { lyaers = 1 } return o end)
    assert.is_false(ok)
    assert.matches('fit: unknown option "lyaers"; did you mean "layers"?', message, 1, true)
    assert.matches("options_spec.lua:" .. line .. ":", message, 1, true)
  end)

  it("suggests nothing when nothing is near", function()
    local _, message = pcall(fit, { zzzzzz = 1 })
    assert.matches('unknown option "zzzzzz"$', message)
  end)

  it("insists on what is required", function()
    assert.has_error(function()
      options({}, { size = options.required }, "cut", 1)
    end)
    local _, message = pcall(options, {}, { size = options.required }, "cut", 0)
    assert.are.equal('cut: option "size" is needed', message)
  end)

  it("refuses something that is no table", function()
    local _, message = pcall(options, 3, {}, "cut", 0)
    assert.are.equal("cut: options must be a table, got number", message)
  end)

  it("finds the nearest of many names", function()
    local known = { "steps", "seed", "preset", "data", "save_every" }
    for wrong, right in pairs { stpes = "steps", sed = "seed", prest = "preset", Data = "data",
                                save = "save_every", ["save-every"] = "save_every" } do
      assert.are.equal(right, options.nearest(wrong, known))
    end
    assert.is_nil(options.nearest("qqq", known))
  end)
end)
