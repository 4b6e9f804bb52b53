-- Curation and what the world can do to it: a full disk, a line of a gigabyte, files that cannot be
-- read, bytes that are no text. A clear error or a counted skip, and nothing is lost.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"
local ml = require "moonlit"

local place

-- runs recipes/curate.lua -> whether it went well, what it said, its most memory in MB
local function curate(name, arguments, before)
  local script = ('%s lua5.4 -e \'arg[0] = "recipes/curate.lua"; dofile(arg[0]) '
    .. 'print("peak " .. io.open("/proc/self/status"):read("a"):match "VmHWM:%%s*(%%d+)")'
    .. '\' - --quiet --out %s/%s %s 2>&1'):format(before or "", place, name, arguments)
  local pipe = io.popen(script)
  local said = pipe:read "a"
  local fine = pipe:close()
  return fine, said, tonumber(said:match "peak (%d+)" or 0) / 1024
end

local function good(i)
  return json.encode { id = "good" .. i, text = ml.data.prose { bytes = 900, seed = i } }
end

local LIMITS = " min_stop_words=0 min_alpha_words=0.5 min_sentences=1 valid=2"

local function books(name) return assert(json.load(place .. "/" .. name .. "/data/ledger.json")) end

local function reasons(name)
  local list = {}
  for _, r in ipairs(books(name).steps[1].reasons) do list[r.reason] = r.documents end
  return list
end

describe("curation", function()
  setup(function()
    place = kit.folder()
  end)
  teardown(function() files.remove(place) end)

  it("counts every kind of broken line, and goes on", function()
    assert(core.sys.write(place .. "/bad.jsonl", table.concat({
      good(1), "{", "[1]", '{"text":3}', '{"id":"x"}', '{"text":"\\ud800"}', '{"text":"\xff\xfe"}',
      "\0\0\0", '{"text":"nul \\u0000 inside"}', "", '{"text":""}', good(2) }, "\n")))
    assert.is_true(curate("bad", "wrong=mark data=" .. place .. "/bad.jsonl" .. LIMITS))
    assert.same({ ["not JSON"] = 4, ["no object"] = 1, ["no text"] = 2 }, reasons "bad")
    assert.equal(11, books("bad")["in"].documents) -- but for the empty line
  end)

  it("raises a broken line unless told to count it", function()
    local fine, said = curate("raise", "data=" .. place .. "/bad.jsonl" .. LIMITS)
    assert.is_nil(fine)
    assert.truthy(said:find("bad.jsonl:2:1: expected JSON, got", 1, true), said)
    assert.is_nil(said:find("traceback", 1, true))
  end)

  -- a gigabyte of NULs between two lines, as a sparse file and as a bomb of 1 MB
  it("passes over a line of a gigabyte, in little memory", function()
    local path = place .. "/long.jsonl"
    local command = "{ printf '%%s\\n' '%s'; head -c 1G /dev/zero; printf '\\n%%s\\n' '%s'; } >%s"
    assert(os.execute(command:format(good(1), good(2), path)))
    assert(os.execute(("gzip -1 -k %s"):format(path)))
    for _, name in ipairs { "long.jsonl", "long.jsonl.gz" } do
      local data = ("data=%s/%s"):format(place, name)
      local fine, said, peak = curate(name .. "-mark", "wrong=mark " .. data .. LIMITS)
      assert.is_true(fine, said)
      assert.same({ ["too long"] = 1 }, reasons(name .. "-mark"))
      assert.equal(2, books(name .. "-mark").out.documents)
      assert.is_true(peak < 200, peak)
      fine, said = curate(name .. "-raise", data .. LIMITS)
      assert.is_nil(fine)
      assert.truthy(said:find(name .. ":2: ", 1, true), said)
    end
  end)

  it("says which file cannot be read", function()
    assert(core.sys.mkdir(place .. "/some"))
    assert(core.sys.write(place .. "/some/a.jsonl", good(1)))
    assert(os.execute("ln -s nowhere " .. place .. "/some/b.jsonl"))
    local fine, said = curate("unread", "data=" .. place .. "/some" .. LIMITS)
    assert.is_nil(fine)
    assert.truthy(said:find("some/b.jsonl: cannot open", 1, true), said)
    assert.is_true(curate("counted", "wrong=mark data=" .. place .. "/some" .. LIMITS))
    assert.same({ ["damaged file"] = 1 }, reasons "counted")
  end)

  it("stops where the disk is full, and goes on when there is room", function()
    local lines = {}
    for i = 1, 120 do lines[i] = good(i) end
    assert(core.sys.write(place .. "/many.jsonl", table.concat(lines, "\n")))
    local data = "workers=2 data=" .. place .. "/many.jsonl" .. LIMITS
    assert.is_true(curate("roomy", data))
    -- a limit on the size of any file stands for the full disk; 512 bytes a block
    for i, blocks in ipairs { 1, 40, 100, 160 } do
      local limit = ("trap '' XFSZ; ulimit -f %d;"):format(blocks)
      local fine, said = curate("full", data .. (i > 1 and " --resume" or ""), limit)
      assert.is_nil(fine, blocks)
      assert.truthy(said:find("File too large", 1, true), said)
      assert.is_nil(files.read(place .. "/full/data/train.jsonl"))
    end
    assert.is_true(curate("full", data .. " --resume"))
    for _, name in ipairs { "data/train.jsonl", "data/valid.jsonl", "data/ledger.json" } do
      assert.equal(files.read(("%s/roomy/%s"):format(place, name)),
                   files.read(("%s/full/%s"):format(place, name)), name)
    end
  end)
end)
