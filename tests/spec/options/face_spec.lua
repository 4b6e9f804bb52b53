describe("require moonlit", function()
  local ml = require "moonlit"

  it("refuses unknown names with the nearest", function()
    local ok, message = pcall(function() return ml.rnadn end)
    assert.is_false(ok)
    assert.matches('face_spec.lua:%d+: moonlit has no "rnadn"; did you mean "randn"?', message)
    ok, message = pcall(function() return ml.modle end)
    assert.is_false(ok)
    assert.matches('did you mean "model"?', message, 1, true)
  end)

  it("loads parts when they are named", function()
    assert.are.equal(require "moonlit.json", ml.json)
    assert.are.equal("moonlit", ml.engine())
    assert.is_true(ml.mem().live_bytes >= 0)
    assert.is_true(ml.clock() <= ml.clock())
  end)

  it("prints nothing, defines no global", function()
    local pipe = io.popen([[lua5.4 -e '
      local before = {}
      for k in pairs(_G) do before[k] = true end
      require "moonlit"
      for k in pairs(_G) do if not before[k] then print(k) end end' 2>&1]])
    assert.are.equal("", pipe:read("a"))
    pipe:close()
  end)
end)
