local harness = require "moonlit.run.harness"
local kit = require "kit"
local knobs = require "moonlit.run.knobs"
local options = require "moonlit.options"

local function defaults()
  return { data = "", steps = 2000, lr = 3e-3, tied = false, betas = { 0.9, 0.99 },
           train = { warmup = 100, opt = { kind = "adamw" } }, note = options.optional }
end
local function parse(...) return knobs(defaults(), { ... }) end
-- the message of an error made for the shell
local function refused(...)
  local ok, err = pcall(parse, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("ml.knobs", function()
  after_each(harness.reset)

  it("gives the defaults where nothing is said", function()
    local cfg = parse()
    assert.are.equal(2000, cfg.steps)
    assert.are.equal("adamw", cfg.train.opt.kind)
    assert.is_nil(cfg.note)
  end)

  it("gives a value the type of its default", function()
    local cfg = parse("steps=1e3", "lr=1", "tied=yes", "data=a=b.txt", "betas=0.8,0.95",
                      "train.warmup=5", "train.opt.kind=muon", "note=hi")
    assert.are.equal("integer", math.type(cfg.steps))
    assert.are.equal(1000, cfg.steps)
    assert.are.equal("float", math.type(cfg.lr))
    assert.is_true(cfg.tied)
    assert.are.equal("a=b.txt", cfg.data)
    assert.are.same({ 0.8, 0.95 }, cfg.betas)
    assert.are.equal(5, cfg.train.warmup)
    assert.are.equal("muon", cfg.train.opt.kind)
    assert.are.equal("hi", cfg.note)
  end)

  it("leaves the defaults alone", function()
    local d = defaults()
    knobs(d, { "train.warmup=5" })
    assert.are.equal(100, d.train.warmup)
  end)

  it("refuses unknown knobs with the nearest name", function()
    assert.are.equal('knobs: unknown knob "stesp"; did you mean "steps"?', refused "stesp=1")
    assert.are.equal('knobs: unknown knob "train.wramup"; did you mean "train.warmup"?',
                     refused "train.wramup=1")
    assert.matches("unknown knob \"train\"", refused "train=1")
  end)

  it("refuses values of another type", function()
    assert.are.equal('knobs: steps must be an integer, got "1.5"', refused "steps=1.5")
    assert.are.equal('knobs: lr must be a number, got "fast"', refused "lr=fast")
    assert.are.equal('knobs: lr must be a number, got "nan"', refused "lr=nan")
    assert.are.equal('knobs: tied must be true or false, got "maybe"', refused "tied=maybe")
    assert.matches("betas must be a list", refused "betas=a,b")
    assert.matches("expected key=value", refused "steps")
  end)

  it("keeps the harness's options apart", function()
    parse("--out", "runs/x", "--threads=2", "--resume", "--quiet", "steps=3")
    assert.are.equal("runs/x", harness.out)
    assert.are.equal(2, harness.threads)
    assert.is_true(harness.resume)
    assert.is_true(harness.quiet)
    assert.are.equal(3, harness.config.steps)
    parse "train.warmup=5"
    assert.are.equal(5, harness.config["train.warmup"])
    assert.is_nil(harness.out)
    assert.matches('option "--rseume"; did you mean "--resume"?', refused "--rseume", 1, true)
    assert.matches("--out needs a value", refused "--out", 1, true)
    assert.matches("from 1 to 64", refused("--threads", "0"), 1, true)
  end)

  it("raises when the defaults are no table", function()
    kit.raises(function() knobs(3) end, "expected a table of defaults")
  end)
end)
