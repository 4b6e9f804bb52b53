-- What a checkpoint does when it cannot be written, and which ones are kept.
local checkpoint = require "moonlit.run.checkpoint"
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local ml = require "moonlit"

local function model()
  return ml.model { layers = 2, heads = 2, dim = 64, vocab = 256, context = 16, seed = 1 }
end
local function save(dir, m, step, keep, last)
  return pcall(checkpoint.save, dir, { model = m }, { step = step },
               { keep = keep or 2, last = last or step - 1 })
end

describe("a checkpoint", function()
  local place
  before_each(function()
    place = os.tmpname()
    os.remove(place)
    assert(core.sys.mkdir(place .. "/ckpt"))
  end)
  after_each(function() files.remove(place) end)

  it("is kept until newer ones are on the disk", function()
    local m = model()
    for step = 1, 4 do assert(save(place, m, step)) end
    assert.are.same({ 3, 4 }, checkpoint.steps(place))
    assert(save(place, m, 5, 0))
    assert.are.same({ 3, 4, 5 }, checkpoint.steps(place))
  end)

  it("goes where a resume found it damaged, once the next is on the disk", function()
    local m = model()
    for step = 1, 4 do assert(save(place, m, step, 0)) end
    for _, step in ipairs { 2, 4 } do
      core.sys.truncate(("%s/ckpt/step-%d/model.safetensors"):format(place, step), 99)
    end
    local how = { keep = 2, last = 3 }
    assert.are.equal(3, checkpoint.load(place, { model = m }, how).step)
    assert.are.same({ 1, 2, 3, 4 }, checkpoint.steps(place)) -- nothing goes before
    core.sys.truncate(place .. "/ckpt/step-3/state.json", 9)
    assert.are.equal(1, checkpoint.load(place, { model = m }, how).step)
    checkpoint.save(place, { model = m }, { step = 3 }, how)
    assert.are.same({ 1, 3 }, checkpoint.steps(place))
    assert.is_nil(checkpoint.fault(place .. "/ckpt/step-3"))
  end)

  it("is found before it could be named, and whatever `latest` says", function()
    local m = model()
    local missing, err = ml.load(place)
    assert.is_nil(missing)
    assert.are.equal(place .. " has no checkpoint yet", err)
    for step = 9, 10 do assert(save(place, m, step, 0)) end
    local want = ml.ckpt.hash(m:parameters())
    for _, latest in ipairs { "step-10\n", "", "../../elsewhere\n", false } do
      os.remove(place .. "/ckpt/latest")
      if latest then assert(core.sys.write(place .. "/ckpt/latest", latest)) end
      assert.are.equal(place .. "/ckpt/step-10", ml.ckpt.resolve(place))
      assert.are.equal(want, ml.ckpt.hash(ml.must(ml.load(place)):parameters()))
    end
  end)

  it("is not one too many after a kill", function()
    local m = model()
    for step = 1, 4 do assert(save(place, m, step, 0)) end
    checkpoint.load(place, { model = m }, { keep = 2 })
    assert.are.same({ 3, 4 }, checkpoint.steps(place))
  end)

  it("of every so many steps is kept, and so many of the best", function()
    local m = model()
    local losses = { 5, 3, 4, 2, 6, 7, 8, 9 }
    for step = 1, 8 do
      checkpoint.save(place, { model = m }, { step = step },
                      { keep = 1, keep_every = 3, keep_best = 2, metric = losses[step],
                        last = step - 1 })
    end
    assert.are.same({ 2, 3, 4, 6, 8 }, checkpoint.steps(place)) -- 2 and 4 are best; 3, 6; 8 newest
    checkpoint.save(place, { model = m }, { step = 9 },
                    { keep = 1, keep_best = 1, higher = true, metric = 1, last = 8 })
    assert.are.same({ 8, 9 }, checkpoint.steps(place)) -- the highest
  end)

  it("is written while its model goes on", function()
    local m = model()
    local want = ml.ckpt.hash(m:parameters())
    local p = checkpoint.begin(place, { model = m }, { step = 1 }, { keep = 2, last = 0 })
    ml.no_grad(function() m:parameters()[1].tensor:fill_(0) end)
    checkpoint.settle(p)
    local again = ml.must(ml.load(place .. "/ckpt/step-1"))
    assert.are.equal(want, ml.ckpt.hash(again:parameters()))
    assert.is_nil(checkpoint.fault(place .. "/ckpt/step-1"))
  end)

  it("is written where memory has no room for a copy", function()
    local m = model()
    core.sys.budget(core.sys.memory().live_bytes + 200000)
    local fine, err = save(place, m, 1)
    core.sys.budget(0)
    assert.is_true(fine, tostring(err))
    assert.is_nil(checkpoint.fault(place .. "/ckpt/step-1"))
  end)

  it("never holds weights that are not finite", function()
    local m = model()
    assert(save(place, m, 1))
    ml.no_grad(function() m:parameters()[3].tensor:fill_(0 / 0) end)
    local ok, err = save(place, m, 2)
    assert.is_false(ok)
    assert.matches("is not finite after step 2, which is not saved; the last checkpoint is of "
                   .. "step 1", tostring(err))
    assert.are.same({ 1 }, checkpoint.steps(place))
    assert.is_nil(checkpoint.fault(place .. "/ckpt/step-1"))
  end)

  it("never holds another tracked model that is not finite", function()
    local m, critic = model(), model()
    ml.no_grad(function() critic:parameters()[3].tensor:fill_(1 / 0) end)
    local ok, err = pcall(checkpoint.save, place, { model = m, critic = critic }, { step = 1 },
                          { keep = 2, last = 0 })
    assert.is_false(ok)
    assert.matches("^run: critic: model%.layers[%w_.]+ is not finite after step 1", tostring(err))
    assert.are.same({}, checkpoint.steps(place))
  end)

  it("is refused, not run into, where its manifest was made by someone else", function()
    assert(save(place, model(), 1))
    local dir = place .. "/ckpt/step-1"
    local file = '{"bytes":1,"sha256":"a","crc32c":"a"}'
    local both = '"model.safetensors":' .. file .. ',"state.json":' .. file
    for _, case in ipairs {
      { '"files":{"model.safetensors":5,"state.json":5}', "is not described" },
      { '"files":{"model.safetensors":{"bytes":"1"},"state.json":{}}', "is not described" },
      { '"files":[1,2]', "is not in its manifest" },
      { '"x":1', "is not in its manifest" },
      { '"files":{"../x":' .. file .. "," .. both .. "}", '"%.%./x" is not described' },
      { '"files":{' .. both .. '},"weights":7', "weights must be a hash" } } do
      local body = "{" .. case[1]
      assert(core.sys.write(dir .. "/manifest.json", ('%s,\n  "check": "%s"\n}\n'):format(body,
                                                       core.sys.sha256(body))))
      assert.matches(case[2], (checkpoint.fault(dir)))
    end
  end)

  it("tells what to do when the disk is full, and leaves the one before", function()
    local mount = ("mount -t tmpfs -o size=1m none %s 2>/dev/null"):format(place)
    if not os.execute(mount) then
      pending "needs the right to mount a file system"
      return
    end
    assert(core.sys.mkdir(place .. "/ckpt"))
    local m = model()
    assert(save(place, m, 1))
    local used = files.size(place .. "/ckpt/step-1/model.safetensors")
    assert.is_true(used > 400000, used) -- one fits, three do not
    local ok, err, step = true, nil, 1
    while ok and step < 5 do
      step = step + 1
      ok, err = save(place, m, step)
    end
    local whole = checkpoint.fault(place .. "/ckpt/step-" .. step - 1)
    local entries = files.entries(place .. "/ckpt")
    os.execute("umount " .. place)
    assert.is_false(ok)
    err = tostring(err)
    assert.matches("^run: step %d is not saved: [^\n]+model.safetensors: cannot write %d+ bytes: "
                   .. "No space left on device\nmake room %(%d+.%d MB a checkpoint%) where [^\n]+, "
                   .. "then the same command with %-%-out [^\n]+ %-%-resume goes on from step %d$",
                   err)
    assert.is_nil(whole)
    for _, name in ipairs(entries) do assert.is_nil(name:find("tmp"), name) end
  end)
end)
