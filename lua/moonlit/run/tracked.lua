--- What a checkpoint holds of the things that a run tracks. A thing has state() and load_state(s);
--- a state is a list of tensors by name (models, optimisers), which gets a file of its own, or a
--- plain table (loaders, controllers), which goes into state.json. The tokenizer is kept beside the
--- model, as ml.load wants it.
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local options = require "moonlit.options"

local tracked = {}

-- where the optimiser of a checkpoint is looked for
local file_names = { model = "model", opt = "optim" }

local function file_of(name) return (file_names[name] or name) .. ".safetensors" end

local function reserved(name)
  return name == "optim" or not name:find "^[%a_][%w_]*$"
end

--- Raises unless things can be tracked: { model =, opt =, data =, tok =, any name = ... }.
function tracked.check(things)
  if type(things) ~= "table" then
    error("run:track: expected { model =, opt =, data =, tok = }, got " .. type(things), 3)
  elseif not things.model then
    error("run:track: a model is required", 3)
  end
  for _, name in ipairs(options.keys(things)) do
    local thing = things[name]
    if type(name) ~= "string" or reserved(name) then
      error(('run:track: "%s" cannot be a name here'):format(tostring(name)), 3)
    elseif name ~= "tok" and not (type(thing) == "table" and thing.state and thing.load_state) then
      error(("run:track: %s must have state() and load_state(state), got %s"):format(name,
            type(thing)), 3)
    end
  end
end

local SIZES = { bool = 1, u8 = 1, f16 = 2, bf16 = 2, f64 = 8, i64 = 8 } -- 4 otherwise

local function is_tensors(state) return type(state[1]) == "table" and state[1].tensor ~= nil end

--- Is a thing's state a plain table: where it stands, not what it weighs?
function tracked.is_small(name, thing)
  if name == "tok" or type(thing) ~= "table" or not thing.state then return false end
  return not is_tensors(thing:state())
end

-- a tokenizer does not change: its text is made once
local texts = setmetatable({}, { __mode = "k" })

local function text_of(tok, dir)
  if not texts[tok] then
    local path = dir .. "/tokenizer.tmp"
    files.must(tok:save(path))
    texts[tok] = files.read(path)
    files.remove(path)
  end
  return texts[tok]
end

-- a copy; where memory has no room for one, the file itself, right now
local function add_tensors(save, dir, name, list, metadata)
  if pcall(save.tensors, save, name, list, metadata and { metadata } or {}, true) then
    return true
  end
  files.mkdir(dir)
  local meta = metadata and { [metadata[1]] = metadata[2] }
  local ok, err = ckpt.save(dir .. "/" .. name, list, meta)
  if not ok then return nil, err end
  save:file(name)
  return false
end

--- Copy everything into save; state gets what goes into state.json.
--- @param save moonlit.Save
--- @param dir string  the directory of checkpoints
--- @param tmp string  what save writes into
--- @return boolean|nil, string?  true: save holds copies of all; false: some files lie in tmp; nil
---         and why not
function tracked.save(save, dir, tmp, things, state)
  state.objects, state.files = {}, {}
  save:text("config.json", ckpt.config(things.model))
  local copied, err = add_tensors(save, tmp, file_of("model"), things.model:state(),
                                  { "format", "pt" })
  if things.tok then save:text("tokenizer.json", text_of(things.tok, dir)) end
  for _, name in ipairs(options.keys(things)) do
    if copied ~= nil and name ~= "model" and name ~= "tok" then
      local s = things[name]:state()
      if is_tensors(s) then
        state.files[#state.files + 1] = name
        local fine, message = add_tensors(save, tmp, file_of(name), s)
        if fine == nil then return nil, message end
        copied = copied and fine
      else
        state.objects[name] = s
      end
    end
  end
  return copied, err
end

--- Bytes of all tensors that a checkpoint holds: as much memory as a save takes.
function tracked.bytes(things)
  local sum = 0
  for _, name in ipairs(options.keys(things)) do
    local s = name ~= "tok" and things[name]:state() or {}
    for _, entry in ipairs(is_tensors(s) and s or {}) do
      sum = sum + entry.tensor:numel() * (SIZES[entry.tensor:dtype()] or 4)
    end
  end
  return sum
end

--- Make the copies once and drop them, so that the first save finds its memory mapped, and the
--- tokenizer's text, which takes a file on the disk.
--- @param dir string  the directory of checkpoints
function tracked.rehearse(save, dir, things)
  if things.tok then text_of(things.tok, dir) end
  for _, name in ipairs(options.keys(things)) do
    local s = name ~= "tok" and things[name]:state() or {}
    if is_tensors(s) then pcall(save.tensors, save, file_of(name), s, {}, true) end
  end
  save:free()
end

-- what the checkpoint has and what is tracked now must be the same
local function compare(from, things, state)
  if type(state.files) ~= "table" or type(state.objects) ~= "table" then
    fail("run: %s/state.json is not of this version of moonlit", from)
  end
  local kept = { model = true }
  for _, name in ipairs(state.files) do kept[name] = true end
  for _, name in ipairs(options.keys(state.objects)) do kept[name] = true end
  for _, name in ipairs(options.keys(kept)) do
    if not things[name] then
      fail("run: %s holds %s, which is not tracked now", from, name)
    end
  end
  for _, name in ipairs(options.keys(things)) do
    if name ~= "tok" and not kept[name] then
      fail("run: %s is tracked, but %s holds none", name, from)
    end
  end
end

--- Give the things back what tracked.save copied.
function tracked.load(from, things, state)
  compare(from, things, state)
  things.model:load_state(files.must(ckpt.list(from .. "/" .. file_of "model")))
  for _, name in ipairs(state.files) do
    things[name]:load_state(files.must(ckpt.list(from .. "/" .. file_of(name))))
  end
  for _, name in ipairs(options.keys(state.objects)) do
    things[name]:load_state(state.objects[name])
  end
end

return tracked
