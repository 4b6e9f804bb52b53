-- lua5.4 tests/oracle/data.lua DOCUMENTS.jsonl -- what our filters say of each, for data.py: a line
-- of JSON a document, { filter = { keep, reason, text } }.
package.path = "./?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = "build/release/?.so;" .. package.cpath
local json = require "moonlit.json"
local ml = require "moonlit"

local filter = ml.data.filter
local filters = { c4 = filter.c4(), c4_open = filter.c4 { terminal_punctuation = false },
                  gopher_quality = filter.gopher_quality(),
                  gopher_repetition = filter.gopher_repetition(),
                  fineweb_quality = filter.fineweb_quality(), symbols = filter.symbols() }

for doc in ml.data.read(arg[1]) do
  local said = {}
  for name, keep in pairs(filters) do
    local fine, more = keep(doc)
    said[name] = { keep = fine, reason = fine and "" or more,
                   text = fine and name:find "^c4" and (more or doc).text or nil }
  end
  print(json.encode(said))
end
