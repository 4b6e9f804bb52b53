--- moonlit inspect RUN --token N: where a token of what a run trained on comes from: the text
--- around it, the line of the raw file, and the hashes of the files between.
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local harmless = require "moonlit.cli.harmless"
local lineage = require "moonlit.data.lineage"
local must = require "moonlit.must" "inspect"
local shard = require "moonlit.data.shard"

local trace = {}

local AROUND, EXCERPT = 30, 300 -- tokens on either side, bytes of a line

local function text_around(tok, t)
  local ids = t.ids:table()
  local function text(from, to)
    local part = table.move(ids, math.max(from, 1), math.min(to, #ids), 1, {})
    return harmless(tok:decode(part))
  end
  return ("%s[%s]%s"):format(text(t.place - AROUND, t.place - 1), text(t.place, t.place),
                             text(t.place + 1, t.place + AROUND))
end

-- the line that an origin names, or why it cannot be shown
local function line_of(origin)
  local path, number = origin:match "^(.+):(%d+)$"
  if not path or not files.exists(path) then return nil end
  local lines <close>, err = core.data.lines(path, 64 << 20)
  if not lines then return err end
  local line, at
  repeat line, at = lines:next() until not line or at == tonumber(number)
  return line and line:sub(1, EXCERPT) .. (#line > EXCERPT and "..." or "") or at
end

local function tokenizer_of(dir)
  local path = ckpt.resolve(dir) .. "/tokenizer.json"
  return files.exists(path) and require("moonlit.text").load(path) or nil
end

--- @param dir string    a run with data/train.shard
--- @param token integer
--- @param say fun(format: string, ...)
function trace.report(dir, token, say)
  local path = dir .. "/data/train.shard"
  local s = must(shard.open(path))
  if token >= s:tokens() then
    fail("inspect: --token must be one of 0 to %d, the tokens of %s, got %d", s:tokens() - 1, path,
         token)
  end
  local t = must(lineage.trace(path, token))
  local tok, origin = tokenizer_of(dir), t.origin or "?"
  say("token %d is number %d of document %d, %s", token, t.place, t.document, harmless(origin))
  if tok then say("  %s", text_around(tok, t)) end
  local line = line_of(origin)
  if line then say("  %s: %s", harmless(origin), harmless(line)) end
  say "made of"
  for _, f in ipairs(t.files) do
    say("  %-8s %s  %s", f.state, f.sha256:sub(1, 16), harmless(f.path))
  end
end

return trace
