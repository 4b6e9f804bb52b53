--- What the commands `chat` and `eval` are pointed at: a model's directory, a run's, or a
--- pipeline's, which stands for its last stage that has a model. Also their numbers.
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"

local subject = {}

local function has_model(dir) return files.exists(ckpt.resolve(dir) .. "/model.safetensors") end

local function last_stage(dir)
  local entries = files.entries(dir)
  for i = #entries, 1, -1 do
    local stage = dir .. "/" .. entries[i]
    if entries[i]:find "^%d%d+%-" and has_model(stage) then return stage end
  end
end

--- The model and tokenizer in a directory, and which directory that was.
--- @param who string  the command, named in messages
--- @return Model, table tok, string dir
function subject.load(dir, who)
  dir = has_model(dir) and dir or last_stage(dir) or dir
  local model, tok = require("moonlit").load(dir)
  if not model then fail("%s: %s", who, tok) end
  if not tok then fail("%s: %s has a model but no tokenizer.json", who, dir) end
  return model, tok, dir
end

--- Does the tokenizer have what conversations are written with?
function subject.converses(tok)
  return tok.id ~= nil and tok:id "<|im_start|>" ~= nil and tok:id "<|im_end|>" ~= nil
end

--- A number from the command line.
--- @param least number
--- @param kind? "integer"
function subject.number(text, name, least, kind)
  local v = tonumber(text)
  if kind == "integer" then v = math.tointeger(v) end
  if not v or v ~= v or v < least or v == math.huge then
    fail('%s must be %s of at least %g, got "%s"', name, kind and "an " .. kind or "a number",
         least, text)
  end
  return v
end

return subject
