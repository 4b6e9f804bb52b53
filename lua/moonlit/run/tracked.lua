--- What a checkpoint holds of the things that a run tracks. A thing has state() and load_state(s);
--- a state is a list of tensors by name (models, optimisers), which gets a file of its own, or a
--- plain table (loaders, controllers), which goes into state.json. The tokenizer is kept beside the
--- model, as ml.load wants it.
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.run.fail"
local files = require "moonlit.run.files"
local options = require "moonlit.options"

local tracked = {}

-- where the optimiser of a checkpoint is looked for
local file_names = { model = "model", opt = "optim" }

local function file_of(dir, name)
  return ("%s/%s.safetensors"):format(dir, file_names[name] or name)
end

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

local function is_tensors(state) return type(state[1]) == "table" and state[1].tensor ~= nil end

--- Is a thing's state a plain table: where it stands, not what it weighs?
function tracked.is_small(name, thing)
  if name == "tok" or type(thing) ~= "table" or not thing.state then return false end
  return not is_tensors(thing:state())
end

--- Write the files; state gets what goes into state.json.
--- @return true|nil, string? message
function tracked.save(dir, things, state)
  state.objects, state.files = {}, {}
  local ok, err = ckpt.save_model(dir, things.model, things.tok)
  for _, name in ipairs(options.keys(things)) do
    if ok and name ~= "model" and name ~= "tok" then
      local s = things[name]:state()
      if is_tensors(s) then
        state.files[#state.files + 1] = name
        ok, err = ckpt.save(file_of(dir, name), s)
      else
        state.objects[name] = s
      end
    end
  end
  return ok, err
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

--- Give the things back what tracked.save wrote.
function tracked.load(from, things, state)
  compare(from, things, state)
  things.model:load_state(files.must(ckpt.list(file_of(from, "model"))))
  for _, name in ipairs(state.files) do
    things[name]:load_state(files.must(ckpt.list(file_of(from, name))))
  end
  for _, name in ipairs(options.keys(state.objects)) do
    things[name]:load_state(state.objects[name])
  end
end

return tracked
