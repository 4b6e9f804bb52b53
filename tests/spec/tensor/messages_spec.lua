-- What a wrong call says: who, which argument, what was expected, what came.
local core = require "moonlit.core"
local ml = require "moonlit"
local kit = require "kit"

local x, leaf = ml.zeros(2, 3), ml.ones(2, { grad = true })

local said = {
  { "copy_: (4, 5) does not broadcast to (2, 3)", function() x:copy_(ml.zeros(4, 5)) end },
  { "copy_: argument 1 must be a tensor, got 1", function() x:copy_(1) end },
  { "fill_: argument 1 must be a number or a boolean, got string", function() x:fill_("a") end },
  { "index: (2) does not broadcast to (3)", function() x[1] = ml.zeros(2) end },
  { "index: (5) does not broadcast to (2, 3)", function() x[ml.tensor { 1, 1 }] = ml.zeros(5) end },
  { "add_: a leaf that requires a gradient, (2), may only", function() leaf:add_(1) end },
  { "mul_: the result is (2, 3), the tensor (3)", function() ml.zeros(3):mul_(x) end },
  { "reshape: (2, 3) has 6 elements and cannot become (7)", function() x:reshape(7) end },
  { "max: no dimension 9 in (2, 3)", function() x:max(9) end },
  { "size: no dimension 7 in a tensor of 2", function() x:size(7) end },
  { "size: argument 1 must be an integer, got string", function() x:size "a" end },
  { "size: argument 1 must be a tensor, got 3", function() x.size(3) end },
  { "logical_or: sizes differ, (2, 3) and (2)", function() x:logical_or(leaf) end },
  { "masked_fill: the mask must be bool, got f32", function() x:masked_fill(x, 1) end },
  { "stack: item 2 is f32 (2), the first is f32 (2, 3)", function() ml.stack { x, leaf } end },
  { "zeros: size 2 must be an integer, got string", function() ml.zeros { 2, "a" } end },
  { "zeros: options must be a table, got string", function() ml.zeros(2, "f64") end },
  { 'zeros: option "grad" must be true or false, got 1', function() ml.zeros(2, { grad = 1 }) end },
  { 'frombytes: argument 2 must be one of f32,', function() ml.frombytes("a", "f9", 1) end },
  { "autograd.no_grad: argument 1 must be a function, got 3", function() ml.no_grad(3) end },
  { "seed: argument 1 must be an integer, got 1.5", function() ml.seed(1.5) end },
  { 'isa: argument 1 must be one of scalar', function() core.sys.isa "sse" end },
  { "json.decode: argument 1 must be a string, got table", function() ml.json.decode {} end },
  { "ckpt.load: argument 1 must be a string, got nothing", function() ml.ckpt.load() end },
  { "sample: argument 3 must hold one integer a row, 2, got 1",
    function() core.sample(x, {}, { 1 }, { 1 }, { 1 }) end },
}

describe("a wrong call", function()
  it("says who, which argument, what was expected and what came", function()
    for _, case in ipairs(said) do kit.raises(case[2], case[1]) end
  end)

  it("names the line of the user's file, through moonlit's own Lua too", function()
    for _, case in ipairs(said) do
      assert.truthy(kit.raises(case[2]):find("messages_spec.lua:", 1, true))
    end
  end)
end)
